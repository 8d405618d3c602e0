/** The description of the API (issue 6): complete, valid, and as exact as the codec. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import fc from "fast-check";
import { version } from "../../package.json";
import { type App, createApp, routes } from "../../src/app.ts";
import { EMAIL_QUERY } from "../../src/emailAddress.ts";
import { ERRORS } from "../../src/errors.ts";
import { type Endpoint, endpoint } from "../../src/http/endpoint.ts";
import { MESSAGES } from "../../src/messages.ts";
import { openApiDocument } from "../../src/openapi/document.ts";
import type { Services } from "../../src/services.ts";
import { ServerErrorResponse } from "../../src/wire/common.ts";
import { int64, timestamp, uint64, uuid } from "../../src/wire/field.ts";
import { defineMessage } from "../../src/wire/message.ts";
import {
  DESCRIPTION,
  DESCRIPTION_TEXT,
  describedAnswer,
  isAsDescribed,
  type Operation,
  operationOf,
  undescribed,
} from "../support/describedAnswers.ts";
import { goodRequest, nameOf, type Stage, setStage, TOKENS, tokensOf } from "../support/routeCases.ts";
import { startTestServer } from "../support/server.ts";
import { anyValueOf, fullValueOf } from "../wire/samples.ts";

const { schemas, responses, securitySchemes } = DESCRIPTION.components;

function described({ spec }: Endpoint): Operation {
  const operation = operationOf(spec.method, spec.path);
  if (!operation) throw new Error(`${spec.method} ${spec.path} is not described`);
  return operation;
}

const ROUTES = routes.map((route) => ({ name: nameOf(route), route }));

describe("issue 6, OpenAPI 3.1: the document", () => {
  test("is valid, says an independent validator", async () => {
    const validator = new Validator();
    expect(await validator.validate(JSON.parse(DESCRIPTION_TEXT))).toEqual({ valid: true });
    expect(validator.version).toBe("3.1");
  });

  test("has exactly the routes that the app answers", () => {
    const app: App = createApp({ config: { bodySizeMaxMb: 1 } } as Services);
    const answered = app.routes.filter(({ path }) => !path.includes("*"));
    const listed = Object.entries(DESCRIPTION.paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(listed.sort()).toEqual(answered.map(({ method, path }) => `${method} ${path}`).sort());
  });

  test("has a schema for every message", () => {
    for (const { name, fields } of MESSAGES) {
      expect(schemas[name], name).toBeDefined();
      // In JSON these two are plain text.
      if (name === "Uuid" || name === "Timestamp") continue;
      const required = Object.keys(fields).filter((field) => fields[field]?.presence === "required");
      expect(schemas[name]).toMatchObject({ title: name, type: "object", additionalProperties: false });
      expect(Object.keys(schemas[name]?.properties ?? {}).sort(), name).toEqual(Object.keys(fields).sort());
      expect(((schemas[name]?.required ?? []) as string[]).toSorted(), name).toEqual(required.sort());
    }
    const scalars = ["Bytes", "ErrorType", "Int64", "Uint64"];
    expect(Object.keys(schemas).sort()).toEqual([...MESSAGES.map(({ name }) => name), ...scalars].sort());
  });

  test("refers to nothing that is not there, and holds nothing that nobody refers to", () => {
    const referred = new Set([...DESCRIPTION_TEXT.matchAll(/"\$ref": "#\/([^"]+)"/g)].map(([, path = ""]) => path));
    for (const path of referred) {
      const target = path
        .split("/")
        .reduce<unknown>((node, key) => (node as Record<string, unknown>)?.[key], DESCRIPTION);
      expect(target, path).toBeDefined();
    }
    for (const name of Object.keys(responses)) expect(referred, name).toContain(`components/responses/${name}`);
  });

  test("names its version, and each operation once", () => {
    expect(DESCRIPTION.info.version).toBe(version);
    const ids = ROUTES.map(({ route }) => described(route).operationId);
    expect(new Set(ids).size).toBe(routes.length);
    for (const id of ids) expect(id).toMatch(/^(?:get|post|put|delete)[A-Z][A-Za-z0-9]*$/);
  });

  test("groups every route, and uses every group", () => {
    const groups = routes.flatMap((route) => described(route).tags);
    expect(groups).toHaveLength(routes.length);
    expect(new Set(groups)).toEqual(new Set(DESCRIPTION.tags.map(({ name }) => name)));
    const general = routes.filter((route) => described(route).tags.includes("Server"));
    expect(general.filter(({ spec }) => Object.keys(spec.tokens).length > 0).map(nameOf)).toEqual([]);
  });
});

describe("errors in the document", () => {
  test("the enumeration is complete: name, number, status, meaning", () => {
    const listed = schemas.ErrorType?.["x-error-types"] as {
      name: string;
      number: number;
      status: number;
      meaning: string;
    }[];
    const expected = Object.entries(ERRORS).map(([name, { no, status }]) => ({ name, number: no, status }));
    expect(listed.map(({ meaning: _, ...rest }) => rest)).toEqual(expected);
    expect(schemas.ErrorType?.enum).toEqual(Object.keys(ERRORS));
    const table = String(schemas.ErrorType?.description);
    for (const { name, number, meaning } of listed) {
      expect(table).toContain(`| ${number} | ${name} |`);
      expect(meaning).toMatch(/^[A-Z].*\.$/);
    }
  });

  test("every error is the same message in both encodings, with only the types that it can have", () => {
    for (const [name, response] of Object.entries(responses)) {
      if (name.endsWith(".page")) {
        expect(Object.keys(response.content ?? {}), name).toEqual(["text/html"]);
        continue;
      }
      expect(Object.keys(response.content ?? {}), name).toEqual(["application/json", "application/protobuf"]);
      const types = response["x-error-types"] ?? [];
      const schema = response.content?.["application/json"]?.schema ?? {};
      for (const err_type of Object.keys(ERRORS)) {
        expect(isAsDescribed(schema, { err_type, err_message: "a" }), `${name} ${err_type}`).toBe(
          types.includes(err_type),
        );
      }
      expect(isAsDescribed(schema, { err_type: types[0] })).toBe(false);
    }
  });

  test("W11: 429 and 503 tell when to come back", () => {
    for (const [name, { headers }] of Object.entries(responses)) {
      const names = Object.keys(headers ?? {});
      if (name.startsWith("429")) expect(names, name).toEqual(["Retry-After", "RateLimit", "RateLimit-Policy"]);
      if (name.startsWith("503")) expect(names, name).toEqual(["Retry-After"]);
      if (name.startsWith("405")) expect(names, name).toEqual(["Allow"]);
    }
  });

  test.each(ROUTES)("$name: what follows from its spec", ({ route }) => {
    const { spec } = route;
    const operation = described(route);
    const typesOf = (status: number) => describedAnswer(operation, status)?.["x-error-types"] ?? [];
    expect(operation.responses[500]).toBeDefined();
    expect(operation.responses[429] !== undefined).toBe(spec.limit !== "unlimited");
    if (tokensOf(route).length > 0) {
      expect(typesOf(401)).toEqual(expect.arrayContaining(["TOKEN_MISSING", "INCORRECT_CREDENTIAL", "TOKEN_EXPIRED"]));
    }
    if (spec.request)
      expect([typesOf(400), typesOf(413)].map((types) => types.includes("PREHANDLER"))).toEqual([true, true]);
    if (spec.method !== "GET" && spec.answers !== "page") expect(typesOf(403)).toContain("USER_DISALLOWED");
    if (spec.tokens.container) expect(typesOf(404)).toContain("CONTAINER_DOES_NOT_EXIST");
    for (const type of spec.errors ?? []) {
      const [name, status] = typeof type === "number" ? ["PREHANDLER", type] : [type, ERRORS[type].status];
      expect(typesOf(status as number)).toContain(name as string);
    }
  });
});

describe("JSON in the document is as the codec reads and writes it", () => {
  const schemaOf = (name: string) => ({ $ref: `#/components/schemas/${name}` });
  const plain = MESSAGES.filter(({ name }) => name !== "Uuid" && name !== "Timestamp");

  test.each(plain.map((message) => ({ name: message.name, message })))("$name", ({ name, message }) => {
    const schema = schemas[name] ?? {};
    const full = JSON.parse(message.encodeJson(fullValueOf(message)));
    expect(isAsDescribed(schema, full)).toBe(true);
    fc.assert(
      fc.property(anyValueOf(message), (value) => isAsDescribed(schema, JSON.parse(message.encodeJson(value)))),
      { numRuns: 20 },
    );
    expect(isAsDescribed(schema, { ...full, no_such_field: 1 })).toBe(false);
    for (const [field, { presence }] of Object.entries(message.fields)) {
      expect(isAsDescribed(schema, { ...full, [field]: null })).toBe(false);
      const { [field]: _, ...others } = full;
      expect(isAsDescribed(schema, others), field).toBe(presence !== "required");
    }
  });

  const Sample = defineMessage("Sample", { id: uuid(1), at: timestamp(2), signed: int64(3), unsigned: uint64(4) });
  const good = {
    id: "018f3c5e-7a00-7000-8000-0123456789ab",
    at: "2026-01-31T08:15:00.123456Z",
    signed: "-1",
    unsigned: "1",
  };
  const SCHEMA_OF = { id: "Uuid", at: "Timestamp", signed: "Int64", unsigned: "Uint64" } as const;

  test.each([
    [
      "id",
      [
        "018F3C5E-7a00-7000-8000-0123456789AB",
        "018f3c5e7a00700080000123456789ab",
        "",
        1,
        "018f3c5e-7a00-7000-8000-0123456789a",
      ],
    ],
    [
      "at",
      [
        "2026-01-31T08:15:00Z",
        "2026-01-31T08:15:00+00:00",
        "2026-01-31T08:15:00.123456789Z",
        "2026-01-31T08:15:00.1234567890Z",
        "2026-01-31T09:15:00+01:00",
        "2026-02-30T08:15:00Z",
        "2026-01-31 08:15:00Z",
        1,
      ],
    ],
    [
      "signed",
      ["9223372036854775807", "-9223372036854775808", 9007199254740991, 9007199254740992, 1.5, "1.5", "0x1", "", true],
    ],
    ["unsigned", ["18446744073709551615", 0, -1, "-1", "1e3", null]],
  ] as const)("%s: the same values pass", (field, values) => {
    for (const value of values) {
      let isRead = true;
      try {
        Sample.decodeJson(JSON.stringify({ ...good, [field]: value }));
      } catch {
        isRead = false;
      }
      expect({ value, passes: isAsDescribed(schemaOf(SCHEMA_OF[field]), value) }).toEqual({ value, passes: isRead });
    }
  });

  test("the examples of the scalars are good ones", () => {
    for (const name of ["Bytes", "Int64", "Uint64", "Uuid", "Timestamp"]) {
      const examples = (schemas[name]?.examples ?? []) as unknown[];
      expect(examples.length, name).toBeGreaterThan(0);
      for (const example of examples) expect(isAsDescribed(schemaOf(name), example), name).toBe(true);
    }
  });
});

describe("requests and answers in the document", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await setStage(await startTestServer());
  });
  afterAll(() => stage.server.stop());

  test.each(ROUTES)("$name: its bodies in both encodings", async ({ route }) => {
    const { request, response, status } = route.spec;
    const operation = described(route);
    const bodies = [
      [request, operation.requestBody?.content],
      [response, describedAnswer(operation, status ?? 200)?.content],
    ] as const;
    for (const [message, content] of bodies) {
      if (!message) continue;
      expect(Object.keys(content ?? {})).toEqual(["application/json", "application/protobuf"]);
      expect(content?.["application/json"]?.schema).toEqual({ $ref: `#/components/schemas/${message.name}` });
      expect(content?.["application/protobuf"]?.schema).toMatchObject({
        type: "string",
        format: "binary",
        "x-protobuf-message": `entries.serverschema.${message.name}`,
      });
    }
    if (!request) return;
    const { body } = await goodRequest(stage, route, "json");
    const schema = operation.requestBody?.content["application/json"]?.schema ?? {};
    expect(isAsDescribed(schema, JSON.parse(Buffer.from(body ?? "").toString()))).toBe(true);
  });

  test.each(ROUTES)("$name: what it was sent is what it asks for", async ({ route }) => {
    const { security, parameters } = described(route);
    const { url, headers } = await goodRequest(stage, route, "json");
    const inHeaders = parameters.flatMap((parameter) =>
      "in" in parameter && parameter.in === "header" ? [parameter.name] : [],
    );
    const first = Object.keys(security[0] ?? {}).map((scheme) => securitySchemes[scheme]?.name ?? scheme);
    const { userIfSent, ...needed } = route.spec.tokens;
    const ofSpec = Object.keys(needed).map((kind) => TOKENS[kind as keyof typeof TOKENS].header);
    if (!userIfSent && !route.spec.isForOperator) expect(first.sort()).toEqual(ofSpec.sort());
    const tokens = tokensOf(route).map((kind) => TOKENS[kind].header);
    expect([...first, ...inHeaders]).toEqual(expect.arrayContaining(tokens));
    for (const token of tokens) expect(headers).toHaveProperty(token);
    const inQuery = parameters.flatMap((parameter) =>
      "in" in parameter && parameter.in === "query" ? [parameter] : [],
    );
    const sent = [...new URL(url).searchParams.keys()];
    for (const name of sent) expect(inQuery.map((parameter) => parameter.name)).toContain(name);
    for (const { name, required } of inQuery) if (required) expect(sent).toContain(name);
  });

  test("platform 4: a token may come in a cookie of its name; a change then needs the CSRF token in both places", () => {
    const { security } = operationOf("PUT", "/api/container/entry") ?? {};
    const csrf = ["csrf-header", "csrf-cookie"];
    expect(security?.map((scheme) => Object.keys(scheme))).toEqual([
      ["access-token-header", "container-access-token-header"],
      ["access-token-header", "container-access-token-cookie", ...csrf],
      ["access-token-cookie", "container-access-token-header", ...csrf],
      ["access-token-cookie", "container-access-token-cookie", ...csrf],
    ]);
    expect(operationOf("GET", "/api/auth/session")?.security).toEqual([
      { "access-token-header": [] },
      { "access-token-cookie": [] },
    ]);
    const names = Object.values(securitySchemes).map((scheme) => `${scheme.in} ${scheme.name}`);
    for (const { header } of Object.values(TOKENS)) {
      expect(names).toContain(`header ${header}`);
      expect(names).toContain(`cookie ${header}`);
    }
  });
});

describe("the check of all answers that tests get", () => {
  const request = new Request("http://localhost/api/auth/session");
  const refuse = (type: keyof typeof ERRORS, status: number) =>
    new Response(ServerErrorResponse.encodeProtobuf({ err_type: type, err_message: "a" }), {
      status,
      headers: { "content-type": "application/protobuf" },
    });
  const json = (body: unknown) =>
    new Response(JSON.stringify(body), { headers: { "content-type": "application/json" } });

  test("lets pass what is described, and leaves the body to be read", async () => {
    for (const answer of [refuse("TOKEN_EXPIRED", 401), json({ sessions: [] })]) {
      expect(await undescribed(request, answer)).toBeUndefined();
      expect(answer.bodyUsed).toBe(false);
    }
    expect(await undescribed(new Request("http://localhost/api/nowhere"), refuse("PREHANDLER", 404))).toBeUndefined();
  });

  test("finds a status, a type, a body and a media type that are not described", async () => {
    expect(await undescribed(request, refuse("ENTRY_DOES_NOT_EXIST", 404))).toContain("404 ENTRY_DOES_NOT_EXIST");
    expect(await undescribed(request, refuse("INCORRECT_NONCE", 401))).toContain("401 INCORRECT_NONCE");
    expect(await undescribed(request, json({ sessions: [{ id: "no uuid" }] }))).toContain("not as described");
    expect(await undescribed(request, new Response("a", { headers: { "content-type": "text/plain" } }))).toContain(
      "text/plain",
    );
  });
});

describe("a route of any kind can be described", () => {
  test("a query parameter that is needed makes 400 possible", async () => {
    const spec = { method: "GET", path: "/a", summary: "A.", limit: "read", tokens: {}, query: EMAIL_QUERY } as const;
    const document = JSON.parse(JSON.stringify(openApiDocument([endpoint(spec, async () => undefined)])));
    expect(await new Validator().validate(document)).toEqual({ valid: true });
    const { get } = document.paths["/a"];
    expect(get.parameters).toMatchObject([{ name: "email", in: "query", required: true, schema: { type: "string" } }]);
    expect(Object.keys(get.responses)).toEqual(["200", "400", "429", "500", "503"]);
  });
});
