// SPDX-License-Identifier: MIT
import { defineConfig } from "vite";

// One script and one style sheet with fixed names: `tat` embeds them, and the HTML export writes them into one file.
export default defineConfig({
    base: "./",
    server: { proxy: { "/api": "http://127.0.0.1:8790" } },
    build: {
        target: "es2022",
        sourcemap: false,
        modulePreload: false,
        assetsInlineLimit: 65536,
        chunkSizeWarningLimit: 1024,
        cssCodeSplit: false,
        rollupOptions: {
            output: {
                entryFileNames: "assets/page.js",
                assetFileNames: "assets/page[extname]",
            },
        },
    },
});
