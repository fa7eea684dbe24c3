# Other processes, helpers that give rights, and the limits of the cgroup.
use strict;
use warnings;
use Battery;
use IO::Handle ();
use POSIX ();

probe 'signal a process of the host' => sub { kill 0, target('pid') };
probe 'read /proc of a process of the host' => sub { readable('/proc/' . target('pid') . '/environ') };

sub status {
  my ($pid) = @_;
  open(my $f, '<', "/proc/$pid/status") or return ();
  return map { /^(\w+):\s*(.*)$/ } <$f>;
}

# Reading somebody's environment is the same permission as reading its memory and joining its namespaces.
probe 'read /proc of another user' => sub {
  my $why = POSIX::ESRCH();
  for my $pid (map { m{(\d+)} } glob '/proc/[0-9]*') {
    my %about = status($pid);
    next if !%about || (split ' ', $about{Uid})[1] == $>;
    return 1 if readable("/proc/$pid/environ");
    $why = $! + 0;
  }
  $! = $why;
  return 0;
};

# The first process of a world belongs to it, and may be of the same uid. It must hold nothing that the guest does not.
probe 'take over a less confined pid 1' => sub {
  my %it = status(1);
  arrived(readable('/proc/1/mem'), 'EIO') or return 0;
  return $it{Seccomp} != 2 || $it{NoNewPrivs} != 1 || grep { hex } @it{qw(CapInh CapPrm CapEff CapAmb)};
};
probe 'files held open by pid 1' => sub {
  opendir(my $d, '/proc/1/fd') or return 0;
  return grep { $_ > 2 && (readlink("/proc/1/fd/$_") // '') =~ m{^(/|socket:)} } grep { /^\d/ } readdir $d;
};
probe 'environment of pid 1 beyond PATH' => sub {
  open(my $f, '<', '/proc/1/environ') or return 0;
  return grep { !/^(PATH=|$)/ } split /\0/, <$f> // '';
};

# Runs the program until it waits (or ends, unreaped), and looks at who it is: an effective uid or a capability that we have not.
sub gains {
  my (@command) = @_;
  pipe(my $in, my $hold) or return 0;
  pipe(my $full, my $out) or return 0;
  $out->blocking(0);
  1 while defined syswrite($out, "\0" x 4096); # nobody reads: the program stops at its first line
  $out->blocking(1);
  my $pid = fork() // return 0;
  if ($pid == 0) {
    open STDIN, '<&', $in;
    open STDOUT, '>&', $out;
    open STDERR, '>&', $out;
    { no warnings "exec"; exec { $command[0] } @command }
    POSIX::_exit(127); # only where exec failed
  }
  my (%me, %it) = status('self');
  for (1 .. 200) {
    select undef, undef, undef, 0.01;
    %it = status($pid);
    last if $it{Name} ne 'perl' && $it{State} =~ /^[SZ]/ || $it{State} =~ /^Z/;
  }
  my $gained = (split ' ', $it{Uid})[1] != $> || (split ' ', $it{Gid})[1] != (split ' ', $))[0]
    || hex($it{CapEff}) & ~hex($me{CapEff});
  kill 'KILL', $pid;
  my $exit = waitpid($pid, 0) && $? >> 8;
  $! = $exit == 127 ? POSIX::ENOEXEC() : POSIX::EPERM();
  return $gained;
}
probe 'setuid helper su' => sub { gains('/usr/bin/su', 'nobody') };
probe 'setuid helper mount' => sub { gains('/usr/bin/mount') };
probe 'a setuid program planted in the workspace' => sub { gains(target('planted') . '/setuid', '60') };
probe 'a program with file capabilities planted in the workspace' => sub { gains(target('planted') . '/capable', '60') };

probe 'more processes than the limit' => sub {
  my @pids;
  my $ok = 1;
  for (1 .. target('manyprocesses')) {
    my $pid = fork();
    if (!defined $pid) { $ok = 0; last }
    if ($pid == 0) { sleep 20; POSIX::_exit(0) }
    push @pids, $pid;
  }
  my $why = $! + 0;
  kill 'KILL', @pids;
  waitpid $_, 0 for @pids;
  $! = $why;
  return $ok;
};
probe 'more memory than the limit' => sub {
  my @held;
  push @held, 'x' x 1_048_576 for 1 .. target('muchmemory');
  return @held > 0;
};
