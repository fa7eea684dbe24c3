/** The lease as every serving process sees it: a value that expires. Given to proxies and tools as a parameter; appliance/keeper/lease.ts feeds it. */
export type Armed = {
  /** True only while the last beat is younger than the lease: ask right before a dial. */
  now(): boolean;
  /** `closed` heals by itself when beats return; `killed` needs an operator. */
  state(): 'armed' | 'closed' | 'killed';
  /** Called once for each loss. Destroy every tracked socket there. Returns the way to unsubscribe. */
  onLost(lost: () => void): () => void;
};
