// One JSON object a line on standard input, one on standard output: `prepare` says for which
// algorithm and what is to be judged, `turn` has one contender judge all of it once and answers how
// many seconds a token took. Nothing of a token is ever written.

import { createInterface } from "node:readline";

import { bare, contenders } from "./contenders.mjs";

const WARM_UP = 30; // turns of each, so that what is measured is compiled code
let turns = {};

async function timed(action, pieces) {
  const begin = process.hrtime.bigint();
  for (const piece of pieces) await action(piece);
  return Number(process.hrtime.bigint() - begin) / 1e9 / pieces.length;
}

function timedSync(action, pieces) {
  const begin = process.hrtime.bigint();
  for (const piece of pieces) action(piece);
  return Number(process.hrtime.bigint() - begin) / 1e9 / pieces.length;
}

async function letsIn(check, probes) {
  const accepted = [];
  for (const [name, token] of Object.entries(probes)) {
    try {
      await check(token);
      accepted.push(name);
    } catch {
      // Refused, as it should be.
    }
  }
  return accepted;
}

async function prepare({ tokens, signed, probes, ...settings }) {
  const { first, again } = contenders(settings);
  const pieces = signed.map(([signature, content]) => [
    Buffer.from(signature, "base64"),
    Buffer.from(content),
  ]);
  const yardstick = bare(settings.jwk, settings.algorithm);
  turns = { bare: () => timedSync(yardstick, pieces) };
  const letIn = {};
  for (const [name, check] of Object.entries({ ...first, ...again })) {
    await check(tokens[0]); // a good token that it refuses ends the bench
    letIn[name] = await letsIn(check, probes);
    const run = check(tokens[0]) instanceof Promise ? timed : timedSync;
    turns[name] = () => run(check, tokens);
  }
  for (let turn = 0; turn < WARM_UP; turn++) for (const run of Object.values(turns)) await run();
  return { first: Object.keys(first), again: Object.keys(again), lets_in: letIn };
}

const { node, openssl } = process.versions;
createInterface({ input: process.stdin }).on("line", async (line) => {
  const asked = JSON.parse(line);
  const answer = asked.prepare
    ? { ...(await prepare(asked.prepare)), version: `Node ${node} with OpenSSL ${openssl}` }
    : { seconds: await turns[asked.turn]() };
  process.stdout.write(`${JSON.stringify(answer)}\n`);
});
