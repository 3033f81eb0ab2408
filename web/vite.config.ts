import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync } from "node:zlib";

import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const ASSETS = "dist/assets";
const COMPRESSIBLE = /\.(js|css|svg|wasm)$/;

/** Lay a compressed copy beside each text file, for Nginx to send: once here is cheaper than at every request. */
const compressed = {
  name: "compressed-copies",
  closeBundle() {
    for (const name of readdirSync(ASSETS).filter((each) => COMPRESSIBLE.test(each))) {
      writeFileSync(join(ASSETS, `${name}.br`), brotliCompressSync(readFileSync(join(ASSETS, name))));
    }
  },
};

export default defineConfig({
  plugins: [react(), compressed],
  build: { target: "es2022", sourcemap: false, assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
