/** Reading the config.json of a model component: every field is honoured, known to be harmless, or refused by name. */
import { UserError } from '../errors.js';

export type RawConfig = Readonly<Record<string, unknown>>;

/** One field and the only values this implementation knows for it. */
export type Allowed = Readonly<Record<string, readonly unknown[]>>;

export class ConfigReader {
  /** @param where file or folder the config came from, for errors */
  constructor(private readonly raw: RawConfig, readonly where: string) {}

  /** A field, or diffusers' default where an older file lacks it. */
  get<T>(key: string, fallback: T): T {
    const value = this.raw[key];
    return (value === undefined ? fallback : value) as T;
  }

  /** @throws UserError when it is missing */
  need<T>(key: string): T {
    if (this.raw[key] === undefined || this.raw[key] === null) throw new UserError(`${this.where}: "${key}" is missing; take the config.json that belongs to the weights`);
    return this.raw[key] as T;
  }

  /** @throws UserError naming the first field whose value is not one of those allowed */
  onlyAllow(allowed: Allowed): void {
    for (const [key, values] of Object.entries(allowed)) {
      const value = this.raw[key];
      if (value === undefined || values.some((v) => JSON.stringify(v) === JSON.stringify(value))) continue;
      throw new UserError(`${this.where}: ${key} = ${JSON.stringify(value)} is not supported; supported: ${values.map((v) => JSON.stringify(v)).join(', ')}`);
    }
  }

  /** @throws UserError naming the first field nobody knows */
  refuseUnknown(known: readonly string[]): void {
    const stranger = Object.keys(this.raw).find((key) => !known.includes(key) && !key.startsWith('_'));
    if (stranger !== undefined) throw new UserError(`${this.where}: unknown field "${stranger}" = ${JSON.stringify(this.raw[stranger])}; it may change the model, so it is not ignored`);
  }
}
