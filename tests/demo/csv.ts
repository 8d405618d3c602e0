/**
 * Reads comma-separated values as RFC 4180 has them: fields in quotes may hold commas, line breaks and doubled quotes.
 * Lines may end with CRLF or LF, the last one with nothing.
 *
 * @returns the records, each with as many fields as the first
 * @throws Error saying in which record a quote or the number of fields is wrong
 */
export function parseCsv(text: string): string[][] {
  const records: string[][] = [];
  let position = text.startsWith("\uFEFF") ? 1 : 0;
  while (position < text.length) {
    const record: string[] = [];
    for (;;) {
      const field = text[position] === '"' ? readQuoted(text, position) : readPlain(text, position);
      const isWellFormed = field && /[,\r\n]|^$/.test(text.charAt(field.end));
      if (!isWellFormed) throw new Error(`record ${records.length + 1}: a quote is out of place`);
      record.push(field.value);
      position = field.end + 1;
      if (text[field.end] !== ",") break;
    }
    if (text[position - 1] === "\r" && text[position] === "\n") position++;
    const expected = records[0]?.length ?? record.length;
    if (record.length !== expected) {
      throw new Error(`record ${records.length + 1} has ${record.length} fields instead of ${expected}`);
    }
    records.push(record);
  }
  return records;
}

interface FieldText {
  value: string;
  /** Where the comma or line break after it is, or the length of the text. */
  end: number;
}

function readPlain(text: string, start: number): FieldText {
  const length = text.slice(start).search(/[",\r\n]/);
  const end = length === -1 ? text.length : start + length;
  return { value: text.slice(start, end), end };
}

/** undefined when the closing quote is missing. */
function readQuoted(text: string, start: number): FieldText | undefined {
  let quote = text.indexOf('"', start + 1);
  while (quote !== -1 && text[quote + 1] === '"') quote = text.indexOf('"', quote + 2);
  if (quote === -1) return undefined;
  return { value: text.slice(start + 1, quote).replaceAll('""', '"'), end: quote + 1 };
}
