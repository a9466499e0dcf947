// Sends through Segment's SDK for Node: half at once, half when told to on stdin.
const { Analytics } = require('@segment/analytics-node')

const [host, writeKey, count] = process.argv.slice(2)
const analytics = new Analytics({ host, writeKey, flushInterval: 100 })
analytics.on('error', (error) => console.error(error))

async function main() {
  analytics.identify({ userId: 'ada', traits: { email: 'ada@example.com', ficoScore: 720 } })
  analytics.page({ userId: 'ada', name: 'Prices', properties: { path: '/pricing' } })
  for (let number = 0; number < count; number++) {
    if (number === count / 2) {
      await analytics.flush()
      console.log('half')
      await new Promise((told) => process.stdin.once('data', told))
    }
    analytics.track({ userId: 'ada', event: 'sdk_tested', properties: { number } })
  }
  await analytics.closeAndFlush({ timeout: 60_000 })
  process.exit()
}

main()
