/** The AppArmor profile that lets an ordinary user build worlds on Ubuntu 24.04, where user namespaces are restricted. walls.ts gives it as the fix, so chat and `holdfast doctor` print it. */

const profilePath = '/etc/apparmor.d/holdfast';

/**
 * By path, since that is how AppArmor knows programs. It permits user namespaces to whatever is started through these two programs,
 * which is what the restriction wants to keep rare: running Holdfast as root needs no profile.
 */
const profile = `abi <abi/4.0>,
include <tunables/global>

profile holdfast-bwrap /usr/bin/bwrap flags=(unconfined) {
  userns,
}

profile holdfast-unshare /usr/bin/unshare flags=(unconfined) {
  userns,
}
`;

export const installProfile = `Either run Holdfast as root, or install this profile (it permits user namespaces to what runs through bwrap and unshare):
sudo tee ${profilePath} >/dev/null <<'END' && sudo apparmor_parser -r ${profilePath}
${profile}END`;
