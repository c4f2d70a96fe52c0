// Parses PowerShell files and prints what is not syntax; exit 1 if anything.
// usage: node --liftoff-only parse.js FOLDER FILE...
// FOLDER holds node_modules with web-tree-sitter and tree-sitter-powershell.
const fs = require('fs');
const path = require('path');
const [folder, ...files] = process.argv.slice(2);
const find = (name) => require.resolve(name, { paths: [folder] });

(async () => {
  const { Parser, Language } = require(find('web-tree-sitter'));
  await Parser.init();
  const parser = new Parser();
  const grammar = path.dirname(find('tree-sitter-powershell/package.json'));
  parser.setLanguage(await Language.load(path.join(grammar, 'tree-sitter-powershell.wasm')));
  let bad = 0;
  for (const file of files) {
    const text = fs.readFileSync(file, 'utf8');
    const walk = (node) => {
      if (node.isError || node.isMissing) {
        bad = 1;
        console.log(`${file}:${node.startPosition.row + 1}: ${text.slice(node.startIndex, node.endIndex).slice(0, 60)}`);
      }
      for (let i = 0; i < node.childCount; i++) walk(node.child(i));
    };
    walk(parser.parse(text).rootNode);
  }
  process.exit(bad);
})().catch((e) => { console.error(e); process.exit(2); });
