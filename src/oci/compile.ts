/** A policy and a place become an OCI runtime spec: the sum of its sections. Same input, same bytes. */
import type { Policy } from '../policy/profile.ts';
import { devices } from './devices.ts';
import { mountsOf } from './mounts.ts';
import { namespacesOf } from './namespaces.ts';
import { kernelPaths } from './paths.ts';
import type { Placement } from './placement.ts';
import { processOf } from './process.ts';
import { resourcesOf } from './resources.ts';
import { seccompOf } from './seccomp.ts';
import { OCI_VERSION, type Spec } from './spec.ts';

/** Name of every sandbox's host, as seen inside. */
export const HOSTNAME = 'cellwall';

/** The spec of one sandbox. The policy is the one its request was tightened to. */
export const compile = (policy: Policy, placement: Placement): Spec => ({
  ociVersion: OCI_VERSION,
  process: processOf(policy, placement),
  // Read-only is what the tree's own mounts say, so that a workspace mounted below later can be written.
  root: { path: placement.root, readonly: false },
  hostname: HOSTNAME,
  mounts: mountsOf(placement),
  linux: {
    ...namespacesOf(placement),
    resources: resourcesOf(policy),
    devices: devices(),
    seccomp: seccompOf(policy),
    // Slave: what the server mounts into the tree later appears inside; what happens inside never reaches the host.
    rootfsPropagation: 'rslave',
    ...kernelPaths(),
  },
});
