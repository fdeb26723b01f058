/** The part of the OCI runtime specification 1.0.2 that a policy compiles to. Field names are the specification's. */

export const OCI_VERSION = '1.0.2';

export interface Spec {
  readonly ociVersion: string;
  readonly process: Process;
  readonly root: { readonly path: string; readonly readonly: boolean };
  readonly hostname: string;
  readonly mounts: readonly Mount[];
  readonly linux: Linux;
}

export interface Process {
  readonly terminal: boolean;
  readonly user: { readonly uid: number; readonly gid: number; readonly umask: number };
  readonly args: readonly string[];
  /** `NAME=value` */
  readonly env: readonly string[];
  readonly cwd: string;
  readonly capabilities: Capabilities;
  readonly rlimits: readonly Rlimit[];
  readonly noNewPrivileges: boolean;
}

export type Capability = `CAP_${string}`;
export type Capabilities = Readonly<Record<'bounding' | 'effective' | 'permitted' | 'inheritable' | 'ambient', readonly Capability[]>>;

export interface Rlimit {
  readonly type: `RLIMIT_${string}`;
  readonly soft: number;
  readonly hard: number;
}

export interface Mount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

export interface Linux {
  readonly namespaces: readonly Namespace[];
  readonly uidMappings?: readonly IdMapping[];
  readonly gidMappings?: readonly IdMapping[];
  readonly resources: Resources;
  readonly devices: readonly Device[];
  readonly seccomp: Seccomp;
  readonly rootfsPropagation: 'rprivate' | 'rslave';
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
}

export interface Namespace {
  readonly type: 'pid' | 'network' | 'ipc' | 'uts' | 'mount' | 'user';
}

export interface IdMapping {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

export interface Resources {
  /** `bytes`; swap is memory and swap together */
  readonly memory: { readonly limit: number; readonly swap: number };
  /** `µs` */
  readonly cpu: { readonly quota: number; readonly period: number };
  readonly pids: { readonly limit: number };
}

export interface Device {
  readonly path: string;
  readonly type: 'c';
  readonly major: number;
  readonly minor: number;
  readonly fileMode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface Seccomp {
  readonly defaultAction: SeccompAction;
  readonly architectures: readonly string[];
  readonly syscalls: readonly SyscallRule[];
}

export type SeccompAction = 'SCMP_ACT_ALLOW' | 'SCMP_ACT_ERRNO' | 'SCMP_ACT_TRACE';

export interface SyscallRule {
  readonly names: readonly string[];
  readonly action: SeccompAction;
  readonly errnoRet?: number;
  /** all of them have to hold */
  readonly args?: readonly SyscallArgument[];
}

/** Holds when the argument, masked by `value`, is `valueTwo`. */
export interface SyscallArgument {
  readonly index: number;
  readonly op: 'SCMP_CMP_MASKED_EQ';
  readonly value: number;
  readonly valueTwo: number;
}
