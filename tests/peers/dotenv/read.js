// What node's dotenv reads: prints one JSON object, file -> name -> value.
const fs = require('node:fs')
const dotenv = require('dotenv')
const out = {}
for (const path of process.argv.slice(2)) out[path] = dotenv.parse(fs.readFileSync(path))
process.stdout.write(JSON.stringify(out))
