// One JSON object a line on standard input, one on standard output: how the rehearsal talks to a
// verifier that runs in a process of its own.
//
// A question names a reader, the key set that this reader fetches, and an assertion. Each reader
// is an instance of the verifier with a cache of its own, made when it is first named: like one
// more server that somebody starts. The answer repeats the question's id and says whether the
// assertion was accepted, else by which code or class of the library it was refused; never the assertion.

import { createInterface } from "node:readline";

export function answerQuestions(makeVerifier) {
  const readers = new Map();
  createInterface({ input: process.stdin }).on("line", async (line) => {
    const question = JSON.parse(line);
    if (!readers.has(question.reader)) readers.set(question.reader, makeVerifier(question));
    const answer = { id: question.id, accepted: true };
    try {
      await readers.get(question.reader)(question.assertion);
    } catch (error) {
      answer.accepted = false;
      answer.why = error.code ?? error.constructor.name;
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  });
}
