/** The words before the list of routes, in Markdown. */
export const introduction = `
The server keeps accounts and encrypted blobs: containers (budgets) with their categories and entries, keystores,
preferences. Clients encrypt, decrypt and sign; the server never sees what is in a blob, and stores no link between an
account and a container.

## Bodies

Every message exists as protobuf and as JSON. A request's body is read by its \`Content-Type\`, \`application/protobuf\` or
\`application/json\`; the answer goes by \`Accept\`, and mirrors the request when that leaves the choice. Without a body and
without a choice it is protobuf. The definitions in protobuf are at [/schema.proto](/schema.proto).

In JSON the field names are those of the schemas. An optional field that has no value is absent, never \`null\`. Lists are
always there in answers; in requests, a list that is missing is empty. Unknown fields are refused in JSON and skipped in
protobuf.

## Tokens

Signing in: fetch a nonce for the address, send it with the hashed password, then send the passcode from the mail (or a
second factor) with the sign-in token: the answer holds an access token and a refresh token. A container's own tokens are
made and signed by the client, with the key that opens the container.

Every token comes in a header, or in the cookie of the same name. A browser that sends \`x-client-is-browser: true\` gets
its tokens as cookies and not in the body. Whatever changes something with a cookie also needs the CSRF token of
\`GET /api/auth/csrf-token\`, in the header \`x-csrf-token\`.

## Errors

Every error has the message \`ServerErrorResponse\` as its body, in the encoding of the answer: \`err_type\` for programs,
\`err_message\` for people. Every route lists the statuses and types that it answers. Beside these, anywhere, as
\`PREHANDLER\`: 404 for a path that does not exist, and 405 with \`Allow\` for another method; HEAD is one. By the
\`x-request-id\` of an answer the operator finds it in the log.

## Limits

Requests are counted per client and per network, in the classes that the routes name. Beyond the limit the answer is 429
with \`Retry-After\`, \`RateLimit\` and \`RateLimit-Policy\`.
`.trim();
