// A program that logs by pino to Loki: node loki.js PORT LINES
const pino = require('pino')

const [port, lines] = process.argv.slice(2).map(Number)
const transport = pino.transport({
  target: 'pino-loki',
  options: { host: `http://127.0.0.1:${port}`, labels: { app: 'shop' }, batching: true, interval: 1, silenceErrors: false }
})
const log = pino(transport)
transport.on('ready', () => {
  for (let i = 0; i < lines; i++) log.info({ order: `ord-${i}` }, 'Order %d received', i)
  log.error({ order: 'ord-7' }, 'Order 7 lost\n    at Pay.charge (pay.js:41:7)')
  setTimeout(() => transport.end(), 1500)
})
