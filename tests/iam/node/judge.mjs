// Answers what IAM would, a line at a time: `{"define": id, "document": …}` keeps a policy, and
// `{"ask": [question, …]}` is answered with `[{"verdict", "ignored", "error"}, …]`. Where a
// question says what is `expected`, the answers end with the first that is another.
import { createInterface } from 'node:readline'
import { runSimulation } from '@cloud-copilot/iam-simulate'

const documents = new Map()

async function answer({ principal, action, resource, account, context, identity, guard }) {
  const policy = identity === null ? undefined : documents.get(identity)
  const simulation = {
    request: {
      principal,
      action,
      resource: { resource, accountId: account },
      contextVariables: context,
    },
    identityPolicies: policy === undefined ? [] : [{ name: 'role', policy }],
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    resourcePolicy: guard === null ? undefined : documents.get(guard),
  }
  const found = await runSimulation(simulation, {})
  if (found.resultType !== 'single') {
    return { verdict: 'Unjudged', error: JSON.stringify(found.errors ?? found.resultType) }
  }
  return { verdict: found.overallResult, ignored: found.result.ignoredContextKeys }
}

for await (const line of createInterface({ input: process.stdin })) {
  const told = JSON.parse(line)
  const answers = []
  if (told.define !== undefined) documents.set(told.define, told.document)
  for (const question of told.ask ?? []) {
    const given = await answer(question)
    answers.push(given)
    const isAllowed = given.verdict === 'Allowed'
    if (question.expected !== undefined && isAllowed !== question.expected) break
  }
  if (told.ask !== undefined) process.stdout.write(`${JSON.stringify(answers)}\n`)
}
