// Drives a Reflux server with OpenAI's official client.
//
//   npm ci --prefix src/test/node
//   node src/test/node/openai-sdk.mjs http://127.0.0.1:7071/v1
//
// Prints a line a check; ends with 1 at the first that fails. The server is expected to have two
// slots and no queue, and to allow answers of 1,000 tokens.
import assert from 'node:assert/strict';
import OpenAI from 'openai';

const baseURL = process.argv[2];
const client = new OpenAI({ baseURL, apiKey: 'unused', maxRetries: 0 });
const model = 'student';
const messages = [
  { role: 'system', content: 'You answer briefly.' },
  { role: 'user', content: 'Where is my parcel?' },
];
const long = { model, prompt: 'Where is', max_tokens: 1000, temperature: 0, stream: true };

async function check(name, run) {
  const told = await run();
  console.log(`ok ${name}${told === undefined ? '' : ': ' + JSON.stringify(told)}`);
}

async function refused(promise, type) {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof type, `${error?.constructor?.name}: ${error}`);
    return error;
  }
  assert.fail(`no ${type.name}`);
}

await check('models', async () => {
  const listed = [];
  for await (const card of client.models.list()) {
    listed.push(card.id);
  }
  assert.deepEqual(listed, [model]);
  assert.equal((await client.models.retrieve(model)).object, 'model');
});

await check('completion with n, logprobs, seed and usage', async () => {
  const ask = { model, prompt: 'I would like', n: 2, logprobs: 2, seed: 7, max_tokens: 6 };
  const first = await client.completions.create(ask);
  const again = await client.completions.create(ask);
  assert.equal(first.choices.length, 2);
  assert.deepEqual(first.choices.map((c) => c.text), again.choices.map((c) => c.text));
  assert.notEqual(first.choices[0].text, first.choices[1].text);
  assert.equal(first.choices[0].logprobs.tokens.length, 6);
  assert.equal(first.choices[0].logprobs.token_logprobs.length, 6);
  assert.equal(first.usage.completion_tokens, 12);
  assert.equal(first.usage.total_tokens, first.usage.prompt_tokens + 12);
  assert.equal(again.usage.prompt_tokens_details.cached_tokens, again.usage.prompt_tokens);
  return first.system_fingerprint;
});

await check('stop', async () => {
  const ask = { model, prompt: 'Where is', temperature: 0, max_tokens: 40 };
  const text = (await client.completions.create(ask)).choices[0].text;
  const stop = text.slice(10, 13);
  const cut = (await client.completions.create({ ...ask, stop })).choices[0];
  assert.equal(cut.text, text.slice(0, text.indexOf(stop)));
  assert.equal(cut.finish_reason, 'stop');
});

await check('chat with the version in header and body', async () => {
  const { data, response, request_id } = await client.chat.completions
    .create({ model, messages, temperature: 0, max_completion_tokens: 8 })
    .withResponse();
  assert.equal(data.object, 'chat.completion');
  assert.equal(data.choices[0].message.role, 'assistant');
  assert.equal(data.choices[0].finish_reason, 'length');
  const version = response.headers.get('reflux-snapshot-version');
  assert.match(data.system_fingerprint, new RegExp(`^reflux-${version}-`));
  assert.ok(request_id);
  return { version, channel: response.headers.get('reflux-channel') };
});

await check('chat stream equals the whole answer', async () => {
  const ask = { model, messages, seed: 3, max_tokens: 20, logprobs: true, top_logprobs: 2 };
  const whole = await client.chat.completions.create(ask);
  const stream = await client.chat.completions.create({
    ...ask,
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = '';
  let reason = null;
  let usage = null;
  const logprobs = [];
  for await (const chunk of stream) {
    const choice = chunk.choices[0];
    text += choice?.delta?.content ?? '';
    reason = choice?.finish_reason ?? reason;
    usage = chunk.usage ?? usage;
    logprobs.push(...(choice?.logprobs?.content ?? []));
  }
  assert.equal(text, whole.choices[0].message.content);
  assert.equal(reason, whole.choices[0].finish_reason);
  assert.equal(usage.total_tokens, whole.usage.total_tokens);
  assert.deepEqual(logprobs, whole.choices[0].logprobs.content);
});

await check('the streaming helper', async () => {
  const runner = client.chat.completions.stream({ model, messages, temperature: 0, max_tokens: 9 });
  let pieces = 0;
  runner.on('content', () => pieces++);
  const final = await runner.finalChatCompletion();
  assert.ok(pieces > 0);
  const whole = await client.chat.completions.create({
    model,
    messages,
    temperature: 0,
    max_tokens: 9,
  });
  assert.equal(final.choices[0].message.content, whole.choices[0].message.content);
});

await check('errors are of the client\'s own types', async () => {
  const wrong = await refused(
    client.completions.create({ model, prompt: 'a', temperature: 3 }),
    OpenAI.BadRequestError,
  );
  assert.equal(wrong.param, 'temperature');
  assert.equal(wrong.code, 'invalid_value');
  assert.ok(wrong.requestID);
  const unknown = await refused(
    client.chat.completions.create({ model: 'gpt-4', messages }),
    OpenAI.NotFoundError,
  );
  assert.equal(unknown.code, 'model_not_found');
  const tooLong = await refused(
    client.completions.create({ model, prompt: 'a '.repeat(9000) }),
    OpenAI.BadRequestError,
  );
  assert.equal(tooLong.code, 'context_length_exceeded');
  return wrong.message;
});

await check('a deadline is a 504 that is not tried again', async () => {
  const late = await refused(
    client.completions.create(
      { ...long, stream: false },
      { maxRetries: 2, headers: { 'reflux-deadline-ms': '5' } },
    ),
    OpenAI.InternalServerError,
  );
  assert.equal(late.status, 504);
  assert.equal(late.code, 'deadline_exceeded');
});

await check('an error in a stream is thrown', async () => {
  const stream = await client.completions.create(long, { headers: { 'reflux-deadline-ms': '20' } });
  const error = await refused(
    (async () => {
      for await (const chunk of stream) {
        assert.ok(chunk.choices);
      }
    })(),
    OpenAI.APIError,
  );
  assert.equal(error.code, 'deadline_exceeded');
});

await check('a full server is a 429, and a client that waits gets its turn', async () => {
  const streams = [await client.completions.create(long), await client.completions.create(long)];
  const begun = streams.map((stream) => stream[Symbol.asyncIterator]());
  await Promise.all(begun.map((iterator) => iterator.next()));
  const full = await refused(
    client.completions.create({ model, prompt: 'a', max_tokens: 1 }),
    OpenAI.RateLimitError,
  );
  const retryAfter = Number(full.headers.get('retry-after'));
  assert.ok(retryAfter > 0);
  const patient = client.completions.create(
    { model, prompt: 'a', max_tokens: 1 },
    { maxRetries: 5 },
  );
  // Going away is enough: nothing tells the server but the closed connection.
  streams.forEach((stream) => stream.controller.abort());
  assert.equal((await patient).choices.length, 1);
  return { code: full.code, retryAfter };
});

console.log('all checks passed');
