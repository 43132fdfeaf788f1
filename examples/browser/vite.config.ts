import { defineConfig } from 'vite';

/** Threads of WebAssembly need a page that no other site can reach into. */
const headers = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

export default defineConfig({
  appType: 'mpa', // a missing file is an error 404, not this page
  build: { target: 'es2022' },
  optimizeDeps: { exclude: ['onnxruntime-web'] }, // it finds its .wasm files beside itself
  preview: { headers },
  server: { headers },
});
