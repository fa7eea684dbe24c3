# One probe, one line: {"name","result":"open"|"blocked","errno"}. Each runs in a process of its own, so that none can
# spoil the next. The probe scripts beside this file use it; perl-base is all that they need.
package Battery;
use strict;
use warnings;
use Errno ();
use Exporter 'import';
use POSIX ();

our @EXPORT = qw(probe target sys arrived spawned readable writable scratch);

# Arguments: KEY=VALUE targets, then the names to run (none: all), then not:NAME for those to leave out.
my %target = map { /^(\w+)=(.*)$/s ? ($1, $2) : () } @ARGV;
my %unwanted = map { /^not:(.*)$/s ? ($1, 1) : () } @ARGV;
my %wanted = map { $_ => 1 } grep { !/^\w+=|^not:/ } @ARGV;

sub target { $target{$_[0]} // die "no target $_[0]\n" }

my %errno;
for my $symbol (sort keys %!) {
  my $value = Errno->can($symbol)->();
  $errno{$value} //= $symbol;
}
$errno{Errno::EAGAIN()} = 'EAGAIN';
$errno{Errno::EOPNOTSUPP()} = 'EOPNOTSUPP';

# System call numbers: x86_64 and aarch64, written down here anew, so that a wrong one in the filter cannot hide itself.
my $at = (POSIX::uname())[4] eq 'aarch64' ? 1 : 0;
my %numbers = (
  add_key => [248, 217], bpf => [321, 280], capset => [126, 91], chroot => [161, 51], clone => [56, 220],
  clone3 => [435, 435], delete_module => [176, 106], fanotify_init => [300, 262], fsopen => [430, 430],
  init_module => [175, 105], io_uring_setup => [425, 425], kcmp => [312, 272], keyctl => [250, 219],
  memfd_create => [319, 279], mknodat => [259, 33], mount => [165, 40], name_to_handle_at => [303, 264],
  open_by_handle_at => [304, 265], open_tree => [428, 428], openat => [257, 56], perf_event_open => [298, 241],
  pidfd_getfd => [438, 438], pidfd_open => [434, 434], pivot_root => [155, 41], process_vm_readv => [310, 270],
  process_vm_writev => [311, 271], ptrace => [101, 117], sched_setscheduler => [144, 119],
  setgroups => [116, 159], sethostname => [170, 161], setns => [308, 268], setpriority => [141, 140],
  setresgid => [119, 149], setresuid => [117, 147], setxattr => [188, 5], swapon => [167, 224],
  syslog => [103, 116], umount2 => [166, 39], unshare => [272, 97], userfaultfd => [323, 282],
);
sub nr { ($numbers{$_[0]} // die "no number for $_[0]\n")->[$at] }

# The call's result, or undef with $!. Strings go as pointers and must be variables: the kernel may write into them.
sub sys {
  my $name = shift;
  my $got = syscall(nr($name), @_); # the caller's own variables: some calls write into them
  return $got == -1 ? undef : $got || '0 but true';
}

# True where the call came past the permission check to an error of its own.
sub arrived { my ($got, @past) = @_; return 1 if $got; my $why = $errno{$! + 0} // ''; return grep { $_ eq $why } @past }

my @spawned;
sub probe {
  my ($name, $act) = @_;
  return if $unwanted{$name} || %wanted && !$wanted{$name};
  pipe(my $read, my $write) or die "pipe: $!";
  my $pid = fork() // die "fork: $!";
  if ($pid == 0) {
    close $read;
    alarm 5;
    $SIG{HUP} = 'IGNORE';
    my ($open, $why) = (0, '');
    $! = 0;
    if (eval { $open = $act->(); 1 }) { $why = $open ? ($open =~ m{^/} ? $open : '') : $errno{$! + 0} // $! + 0 }
    else { $why = "broken: $@"; $why =~ s/[^ -~]|["\\]/ /g }
    kill 'KILL', @spawned;
    syswrite $write, ($open ? 'open ' : 'blocked ') . $why;
    POSIX::_exit(0);
  }
  close $write;
  my $said = join '', <$read>;
  waitpid $pid, 0;
  my $signal = $? & 127;
  $said = "blocked SIGNAL $signal" if $said eq '';
  my ($result, $why) = $said =~ /^(open|blocked) (.*)$/s;
  syswrite STDOUT, qq({"name":"$name","result":"$result","errno":"$why"}\n);
}

# A child that waits; it ends with the probe.
sub spawned {
  my $pid = fork() // die "fork: $!";
  if ($pid == 0) { sleep 20; POSIX::_exit(0) }
  push @spawned, $pid;
  return $pid;
}

# Opens for writing and writes nothing.
sub writable { my ($path) = @_; return defined POSIX::open($path, POSIX::O_WRONLY()) }

sub readable { my ($path) = @_; open(my $file, '<', $path) or return 0; return defined sysread($file, my $bytes, 8192) }

# A folder of our own to try things on.
sub scratch { my ($name) = @_; mkdir "probe-$$-$name"; return "probe-$$-$name" }

1;
