import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', '.tap/', 'work_dirs/', 'examples/'] },
  ...tseslint.configs.recommended,
  {
    files: ['**/*.ts', '**/*.tsx'],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'no-console': 'error',
      eqeqeq: ['error', 'always', { null: 'ignore' }],
    },
  },
  // The configuration core and the models never see a backend; one file imports each runtime.
  {
    files: ['src/**'],
    ignores: ['src/backends/**'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [{ group: ['onnxruntime-*', '@tensorflow/*'], message: 'Only src/backends talks to a runtime.' }],
        },
      ],
    },
  },
  { files: ['tools/**', 'bench/**', 'scripts/**'], rules: { 'no-console': 'off' } },
);
