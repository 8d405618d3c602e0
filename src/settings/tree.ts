import type { Setting } from "./setting.ts";

/** Settings by key; groups of settings may be nested. */
export type SettingTree = { readonly [key: string]: Setting<unknown> | SettingTree };

/** The values of the settings of a tree, in the same shape. */
export type ValuesOf<Tree> = {
  [Key in keyof Tree]: Tree[Key] extends Setting<infer Value> ? Value : ValuesOf<Tree[Key]>;
};

/** True for a setting, false for a group of them. */
export function isSetting(node: Setting<unknown> | SettingTree): node is Setting<unknown> {
  return typeof node.env === "string";
}

/** Every setting of a tree, in order. */
export function settingsOf(tree: SettingTree): Setting<unknown>[] {
  return Object.values(tree).flatMap((node) => (isSetting(node) ? [node] : settingsOf(node)));
}
