/** What a policy file may say (`Profile`), and what it comes to with all that it extends (`Policy`). */
import { z } from 'zod';
import {
  binds,
  context,
  env,
  LEFT_OUT,
  lifetime,
  limits,
  nestedNamespaces,
  network,
  NONE_LEFT_OUT,
  policyName,
  rootfs,
  runtime,
  why,
  words,
  workspace,
} from './sections.ts';

/** A policy in full, as the rest of cellwall gets it. */
export const policySchema = z.strictObject({
  name: policyName,
  description: words('a description'),
  runtime,
  network,
  rootfs,
  binds,
  workspace,
  context,
  limits,
  lifetime,
  env,
  nested_namespaces: nestedNamespaces,
});

// A section of a file: each field may be left out, the reason may not.
const section = <Shape extends z.core.$ZodLooseShape>(full: z.ZodObject<Shape, z.core.$strict>) => full.partial().extend({ why }).optional();

const header = {
  $schema: z.string('expected a string').optional().describe('Where an editor finds the JSON Schema; cellwall does not read it. Left out: nothing changes.'),
  name: policyName.describe('Name of the policy, that of the file without `.json`. Left out: the file is refused.'),
  description: words('a description').optional().describe(`What the policy is for, in one sentence. ${LEFT_OUT}`),
};

const sections = {
  runtime: section(runtime).describe(`What runs the sandbox. ${LEFT_OUT}`),
  network: section(network).describe(`What the sandbox can reach. ${LEFT_OUT}`),
  rootfs: section(rootfs).describe(`The programs that it finds. ${LEFT_OUT}`),
  binds: binds.optional().describe(`What else of the host it sees. Replaces the inherited list. ${NONE_LEFT_OUT}`),
  workspace: section(workspace).describe(`What it works on. ${LEFT_OUT}`),
  context: section(context).describe(`What is copied to it. ${LEFT_OUT}`),
  limits: section(limits).describe(`What it may use. ${LEFT_OUT}`),
  lifetime: section(lifetime).describe(`How long it lives. ${LEFT_OUT}`),
  env: section(env).describe(`Variables that its programs see. ${NONE_LEFT_OUT}`),
  nested_namespaces: section(nestedNamespaces).describe(`Namespaces of its own. ${NONE_LEFT_OUT}`),
};

/** A policy file. With `extends` it gives what differs: sections field by field, lists as a whole. */
export const profileSchema = z.strictObject({
  ...header,
  extends: policyName.optional().describe('Name of another policy that this one starts from, never a path. Left out: the profile stands alone.'),
  ...sections,
});

/** A floor: a profile that stands alone and caps what it gives, nothing else. */
export const floorSchema = z.strictObject({ ...header, ...sections });

type DeepReadonly<T> = T extends readonly (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T;

/** A policy with every field, frozen. */
export type Policy = DeepReadonly<z.infer<typeof policySchema>>;
/** A policy file as it is written. */
export type Profile = DeepReadonly<z.infer<typeof profileSchema>>;
export type Floor = DeepReadonly<z.infer<typeof floorSchema>>;

/** The JSON Schema (2020-12) of a policy file, as `policies/schema.json` holds it. */
export const profileJsonSchema = (): Record<string, unknown> => ({
  title: 'cellwall policy',
  ...z.toJSONSchema(profileSchema, { target: 'draft-2020-12', io: 'input' }),
});
