// After tsc: makes the command line executable again (npm does so at installation only), and makes `import 'diffengine'` bring the types of every component, for configs in the user's projects.
// In the source a component adds its class to a map of src/registry/kinds.ts, and its schema becomes a type when a config is compiled. That would cost every user seconds at each compilation;
// so the published maps hold the types that come out, written here from the schemas of the components that are registered.
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { compile } from 'json-schema-to-typescript';
import { format } from 'prettier';

const dist = process.argv[2] ?? 'dist',
  root = join(dist, 'src'),
  cli = join(dist, 'tools', 'cli.js');
if (existsSync(cli)) chmodSync(cli, 0o755);

const load = (file) => import(pathToFileURL(resolve(root, file)).href);
const { loadComponents } = await load('components.js');
const { allRegistries } = await load('registry/registry.js');
await loadComponents();

// HOOKS -> HookMap
const kinds = readFileSync(join(root, 'registry', 'kinds.d.ts'), 'utf8');
const mapOf = Object.fromEntries(
  [...kinds.matchAll(/^ {4}([A-Z_]+): (\w+Map);$/gm)].map(([, kind, map]) => [kind, map]),
);

// Lists are string[], not [string, ...string[]]: those of configs are often computed. The validation counts.
const STYLE = { bannerComment: '', additionalProperties: false, ignoreMinAndMaxItems: true, format: false };
const interfaces = [],
  maps = [];
for (const registry of allRegistries()) {
  const entries = [];
  for (const name of registry.names()) {
    const type = `${name}Options`;
    const { description, ...schema } = registry.get(name).options;
    const text = await compile(forEditors(schema), type, STYLE),
      [, written] = /^export (?:interface|type) (\w+)/m.exec(text); // AdamW8bit comes back as AdamW8Bit
    interfaces.push(text.replaceAll(new RegExp(`\\b${written}\\b`, 'g'), type));
    entries.push(`    /** ${description.replaceAll('*/', '*\\/')} */\n    ${name}: Published<${type}>;`);
  }
  maps.push(`  interface ${mapOf[registry.kind]} {\n${entries.join('\n')}\n  }`);
}
// The hooks of the built-in configs by their names there, where all configs agree: "preview" is a VisualizationHook.
const hooks = {};
const { builtInConfigs, loadConfig } = await load('registry/load-config.js');
for (const name of (await builtInConfigs()).keys()) {
  const { default_hooks = {}, custom_hooks = {} } = (await loadConfig(name)).config;
  for (const [key, hook] of Object.entries({ ...default_hooks, ...custom_hooks }))
    (hooks[key] ??= new Set()).add(hook.type);
}
const named = Object.entries(hooks).filter(([, types]) => types.size === 1);
maps.push(`  interface NamedHooks {\n${named.map(([key, [type]]) => `    ${key}: '${type}';`).join('\n')}\n  }`);

const types = `// Written by scripts/link-component-types.mjs.
import type { Nested, Published } from './registry/schema.js';
${interfaces.join('')}
declare module './registry/kinds.js' {
${maps.join('\n')}
}
`;
update(
  join(root, 'component-types.d.ts'),
  await format(types, { parser: 'typescript', printWidth: 120, singleQuote: true }),
);

// What the components' own files say of the maps would contradict that.
for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
  const file = join(entry.parentPath, entry.name);
  if (!file.endsWith('.d.ts') || entry.name === 'component-types.d.ts') continue;
  update(
    file,
    readFileSync(file, 'utf8').replace(/^declare module '[./]+\/registry\/kinds\.js' \{\n[\s\S]*?^\}\n/gm, ''),
  );
}

const index = join(root, 'index.d.ts'),
  line = "import './component-types.js';\n",
  text = readFileSync(index, 'utf8');
update(index, text.startsWith(line) ? text : line + text);

/** Writes what differs only: tests run this script beside others that read the files. */
function update(file, text) {
  if (!existsSync(file) || readFileSync(file, 'utf8') !== text) writeFileSync(file, text);
}

/** The schema as the library reads it: nested components by their kind, and defaults where an editor shows them. */
function forEditors(schema) {
  if (Array.isArray(schema)) return schema.map(forEditors);
  if (schema === null || typeof schema !== 'object') return schema;
  const { default: value, ...rest } = schema;
  const shown = value === undefined ? '' : ` (default: ${JSON.stringify(value)})`;
  const described = typeof rest.description === 'string' ? { description: rest.description + shown } : {};
  if (typeof rest.component === 'string') return { ...described, tsType: `Nested<'${rest.component}'>` };
  return { ...Object.fromEntries(Object.entries(rest).map(([key, part]) => [key, forEditors(part)])), ...described };
}
