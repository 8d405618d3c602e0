/** HTML of mails and pages, in which no value can turn into markup. */

/** Makes text harmless in HTML, between tags and in quoted attributes. */
export function escapeHtml(text: string): string {
  return Bun.escapeHTML(text);
}

/** Text that may stand in HTML as it is: only `html` makes it. */
export class Html {
  constructor(readonly text: string) {}
}

/** HTML with values: text is escaped, HTML stands as it is, a list is joined by line breaks. */
export function html(parts: TemplateStringsArray, ...values: readonly (string | Html | readonly Html[])[]): Html {
  const text = (value: string | Html | readonly Html[]): string => {
    if (typeof value === "string") return escapeHtml(value);
    return value instanceof Html ? value.text : value.map((item) => item.text).join("\n");
  };
  return new Html(parts.reduce((before, part, index) => before + text(values[index - 1] ?? "") + part));
}
