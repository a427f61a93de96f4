// A program that logs by pino to Elasticsearch: node elastic.js PORT LINES
const pino = require('pino')
const elastic = require('pino-elasticsearch')

const [port, lines] = process.argv.slice(2).map(Number)
const stream = elastic({ node: `http://127.0.0.1:${port}`, index: 'shop', esVersion: 8, flushBytes: 1000, flushInterval: 200 })
const failed = (what) => (error) => { console.error(what, error); process.exitCode = 1 }
for (const what of ['unknown', 'insertError', 'error']) stream.on(what, failed(what))
const log = pino(stream)
for (let i = 0; i < lines; i++) log.info({ order: `ord-${i}` }, 'Order %d received', i)
log.error({ order: 'ord-7' }, 'Order 7 lost')
stream.on('insert', (stats) => console.log(JSON.stringify(stats)))
stream.end()
