# System calls that reach past every namespace, make new ones, or give back what was dropped.
use strict;
use warnings;
use Battery;
use Fcntl;
use POSIX ();

use constant { NEWNS => 0x20000, NEWUSER => 0x10000000, NEWNET => 0x40000000, SIGCHLD => 17, AT_FDCWD => -100 };
my $none = 'none';

probe 'io_uring' => sub { my $params = "\0" x 120; sys('io_uring_setup', 4, $params) };
probe 'bpf' => sub { my $array = pack('L4 x112', 2, 4, 4, 1); sys('bpf', 0, $array, 128) };
probe 'perf_event_open' => sub { my $clock = pack('LLQ x112', 1, 128, 0); sys('perf_event_open', $clock, 0, -1, -1, 0) };
probe 'userfaultfd' => sub { sys('userfaultfd', 0) };
probe 'fanotify' => sub { sys('fanotify_init', 0, 0) };
probe 'keyctl' => sub { sys('keyctl', 0, -3, 1) };
probe 'add_key' => sub {
  my ($type, $name, $value) = ('user', 'holdfast-probe', 'x');
  sys('add_key', $type, $name, $value, 1, -2);
};
probe 'kernel log by syslog(2)' => sub { sys('syslog', 10, 0, 0) };
probe 'load a kernel module' => sub { my ($image, $none) = ("\0" x 64, "\0"); arrived(sys('init_module', $image, 64, $none), 'ENOEXEC', 'EINVAL') };
probe 'unload a kernel module' => sub { my $name = 'holdfast_probe'; arrived(sys('delete_module', $name, 0x800), 'ENOENT') };
probe 'swapon' => sub { my $path = '/nowhere'; arrived(sys('swapon', $path, 0), 'ENOENT') };
probe 'sethostname' => sub { my $name = 'probed'; sys('sethostname', $name, 6) };

probe 'unshare a user namespace' => sub { sys('unshare', NEWUSER) };
probe 'unshare a network namespace' => sub { sys('unshare', NEWNET) };
probe 'unshare a mount namespace' => sub { sys('unshare', NEWNS) };
probe 'clone into a user namespace' => sub {
  my $pid = sys('clone', NEWUSER | SIGCHLD, 0, 0, 0, 0) // return 0;
  POSIX::_exit(0) if $pid == 0;
  return waitpid($pid, 0) > 0;
};
probe 'clone3 into a user namespace' => sub {
  my $how = pack('Q8', NEWUSER, 0, 0, 0, SIGCHLD, 0, 0, 0);
  my $got = syscall(Battery::nr('clone3'), $how, 64);
  POSIX::_exit(0) if $got == 0;
  return $got > 0 && waitpid($got, 0) > 0;
};
for my $kind ('net', 'mnt', 'user') {
  probe "setns to pid 1's $kind namespace" => sub {
    open(my $f, '<', "/proc/1/ns/$kind") or return 0;
    # Joining the user namespace that one is in is EINVAL by the manual: past the permission check.
    arrived(sys('setns', fileno $f, 0), $kind eq 'user' ? 'EINVAL' : ());
  };
}

# So that what a probe takes away outside is gone for that probe alone; in a world it is refused like the rest.
sub own_mounts { my $root = '/'; sys('unshare', NEWNS) && sys('mount', $none, $root, $none, 0x44000, 0) } # MS_REC | MS_PRIVATE
sub mounted { my ($type) = @_; my $at = scratch('mount'); sys('mount', $none, $at, $type, 0, 0) && sys('umount2', $at, 2) }
probe 'mount tmpfs' => sub { mounted('tmpfs') };
probe 'mount proc' => sub { mounted('proc') };
probe 'mount cgroup2' => sub { mounted('cgroup2') };
probe 'bind mount' => sub { my ($root, $at) = ('/', scratch('bind')); sys('mount', $root, $at, $none, 0x1000, 0) && sys('umount2', $at, 2) };
probe 'remount / writable' => sub { my $root = '/'; sys('mount', $none, $root, $none, 0x20 | 0x1000, 0) };
probe 'umount' => sub { own_mounts(); my $proc = '/proc'; sys('umount2', $proc, 2) };
probe 'the new mount calls' => sub { my $type = 'tmpfs'; sys('fsopen', $type, 0) };
probe 'open_tree' => sub { my $root = '/'; sys('open_tree', AT_FDCWD, $root, 1) };
probe 'pivot_root' => sub {
  my ($new, $type) = (scratch('pivot'), 'tmpfs');
  own_mounts() && sys('mount', $none, $new, $type, 0, 0);
  chdir $new;
  my $here = '.';
  sys('pivot_root', $here, $here);
};
probe 'chroot' => sub { my $at = scratch('root'); sys('chroot', $at) };
probe 'open by file handle' => sub {
  my ($here, $handle, $mount) = ('.', pack('Ll x128', 128, 0), "\0" x 8);
  sys('name_to_handle_at', AT_FDCWD, $here, $handle, $mount, 0) or return 0;
  my $fd = POSIX::open('.', O_RDONLY) // return 0;
  sys('open_by_handle_at', $fd, $handle, O_RDONLY);
};
sub node_of { my ($type, $device) = @_; my $path = "probe-$$-node"; sys('mknodat', AT_FDCWD, $path, $type | 0600, $device) && unlink $path }
probe 'mknod a character device' => sub { node_of(0020000, 0x103) };
probe 'mknod a block device' => sub { node_of(0060000, 0x700) };

my $value = 'secret!!';
sub vector { my ($address) = @_; pack('QQ', $address, 8) }
sub across {
  my ($call) = @_;
  my $pid = spawned();
  my $buffer = "\0" x 8;
  # The child is a fork: the same address holds the same value in it.
  my ($near, $far) = (vector(unpack('Q', pack('P', $buffer))), vector(unpack('Q', pack('P', $value))));
  my $got = sys($call, $pid, $near, 1, $far, 1, 0);
  return defined $got && $got == 8;
}
probe 'ptrace' => sub { my $pid = spawned(); my $ok = sys('ptrace', 16, $pid, 0, 0); kill 'KILL', $pid; return $ok };
probe 'ptrace of pid 1' => sub { my $ok = sys('ptrace', 0x4206, 1, 0, 0); sys('ptrace', 17, 1, 0, 0) if $ok; return $ok };
probe 'process_vm_readv' => sub { across('process_vm_readv') };
probe 'process_vm_writev' => sub { across('process_vm_writev') };
probe 'pidfd_getfd' => sub {
  my $fd = sys('pidfd_open', spawned(), 0) // return 0;
  sys('pidfd_getfd', $fd, 0, 0);
};
probe 'kcmp' => sub { defined sys('kcmp', $$ + 0, spawned(), 1, 0, 0) };

my $other = $> == 0 ? 12_345 : 0;
probe 'setresuid to another user' => sub { sys('setresuid', $other, $other, $other) };
probe 'setresgid to another group' => sub { sys('setresgid', $other || 12_345, $other || 12_345, $other || 12_345) };
probe 'setgroups' => sub { my $groups = pack('L', 12_345); sys('setgroups', 1, $groups) };
probe 'take a capability' => sub {
  my ($head, $sets) = (pack('LL', 0x20080522, 0), pack('L6', (1 << 12) x 3, 0, 0, 0)); # CAP_NET_ADMIN
  sys('capset', $head, $sets);
};
probe 'chown to another user' => sub {
  my $path = "probe-$$-owned";
  open(my $f, '>', $path) or return 0;
  my $ok = chown 12_345, 12_345, $path;
  my $why = $! + 0;
  unlink $path;
  $! = $why;
  return $ok;
};
probe 'real-time priority' => sub { my $first = pack('l', 1); sys('sched_setscheduler', 0, 1, $first) };
probe 'higher priority' => sub { sys('setpriority', 0, 0, -10) };
probe 'lower oom score' => sub {
  open(my $f, '+<', '/proc/self/oom_score_adj') or return 0;
  my $now = <$f>;
  defined syswrite($f, $now - 500);
};

probe 'a controlling terminal' => sub { POSIX::open('/dev/tty', O_RDWR) };
probe 'type into a terminal (TIOCSTI)' => sub {
  sysopen(my $all, '/dev/ptmx', O_RDWR | O_NOCTTY) or return 0;
  my ($locked, $number, $key) = (pack('l', 0), pack('l', 0), 'x');
  ioctl($all, 0x40045431, $locked) && ioctl($all, 0x80045430, $number) or return 0; # TIOCSPTLCK, TIOCGPTN
  POSIX::setsid();
  sysopen(my $terminal, '/dev/pts/' . unpack('l', $number), O_RDWR) or return 0;
  ioctl($terminal, 0x5412, $key);
};
