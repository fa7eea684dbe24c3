# Files of the machine and of the house that a guest must not read or write, and how much it may write where it may.
use strict;
use warnings;
use Battery;
use Fcntl;
use POSIX ();

# A file without a name (O_TMPFILE) shows that a folder can be written to and leaves nothing behind.
sub made_in {
  my ($folder) = @_;
  return 1 if sysopen(my $f, $folder, O_WRONLY | 020000000 | (Battery::nr('openat') == 56 ? 040000 : 0200000), 0600);
  return 0 if $! != POSIX::EOPNOTSUPP() && $! != POSIX::EISDIR();
  return mkdir("$folder/.probe-$$") && rmdir("$folder/.probe-$$");
}
for my $path ('/', '/usr', '/usr/bin', '/etc', '/home', '/opt', '/dev') { probe "make a file in $path" => sub { made_in($path) } }
probe 'make a file in the code' => sub { made_in(target('code') . '/appliance') };
probe 'make a file in the installed packages' => sub { made_in(target('code') . '/node_modules') };
probe 'make a file in the compile cache' => sub { made_in(target('cache')) };

probe 'write to a program in /usr' => sub { writable('/usr/bin/env') };
probe 'write to the code' => sub { writable(target('code') . '/package.json') };
for my $path ('/etc/passwd', '/etc/hosts') { probe "write to $path" => sub { writable($path) } }
# What is there is written back, where it can be opened at all.
probe 'write to core_pattern' => sub {
  sysopen(my $f, '/proc/sys/kernel/core_pattern', O_RDWR) or return 0;
  my $now = <$f>;
  defined syswrite($f, $now);
};
for my $path ('/proc/sysrq-trigger', '/proc/sys/kernel/modprobe', '/proc/sys/vm/drop_caches', '/proc/irq/default_smp_affinity') { probe "open $path for writing" => sub { writable($path) } }
# All of /proc but the processes: many entries ask for uid 0 and no capability.
sub openable {
  my ($folder) = @_;
  opendir(my $d, $folder) or return 0;
  for my $entry (grep { !/^(\.|\d|self$|thread-self$)/ } readdir $d) {
    my $path = "$folder/$entry";
    next if -l $path;
    my $found = -d _ ? openable($path) : writable($path) && $path;
    return $found if $found;
  }
  return 0;
}
probe 'open any file of /proc for writing' => sub { openable('/proc') };
probe 'open /sys for writing' => sub { writable('/sys/kernel/profiling') || writable('/sys/power/state') || writable('/sys/kernel/mm/ksm/run') };
for my $path ('/dev/mem', '/dev/kmsg', '/proc/kcore', '/etc/shadow') { probe "read $path" => sub { readable($path) } }
probe 'read the disk' => sub { readable(target('disk')) };
probe 'list /root' => sub { opendir(my $d, '/root') };

probe 'read a provider key of the house' => sub { readable(target('home') . '/secrets/llm/probe') };
probe 'read the latch of the house' => sub { readable(target('home') . '/latch') };
probe "read another agent's workspace" => sub { readable(target('otherworkspace') . '/private') };
probe 'the host through /proc/1/root' => sub { readable('/proc/1/root' . target('folder') . '/marker') };
probe 'the host through a folder above' => sub { readable('../' x 20 . target('folder') . '/marker') };
probe 'a link in the workspace to a host file' => sub {
  my $link = "probe-$$-link";
  symlink(target('folder') . '/marker', $link) or return 0;
  my $ok = readable($link);
  my $why = $! + 0;
  unlink $link;
  $! = $why;
  return $ok;
};

# cgroup(7): whoever can write a parent's cgroup.procs leaves its limits.
probe 'leave the cgroup' => sub {
  my @all = map { "$_/cgroup.procs" } split / /, target('cgroups');
  for my $file (@all) {
    my $f;
    return 0 if !open($f, '>', $file) || !defined syswrite($f, "$$\n");
  }
  return 1;
};
probe 'make a cgroup' => sub { my $new = (split / /, target('cgroups'))[0] . "/holdfast-probe-$$"; mkdir($new) && rmdir($new) };

# More than the size that the view gives to each.
sub filled {
  my ($folder, $mb) = @_;
  my $path = "$folder/probe-$$-fill";
  sysopen(my $f, $path, O_WRONLY | O_CREAT | O_EXCL, 0600) or return 0;
  my ($chunk, $ok) = ("\0" x 1_048_576, 1);
  for (1 .. $mb) { my $wrote = syswrite($f, $chunk); $ok = 0, last if !defined $wrote || $wrote < length $chunk }
  my $why = $! + 0 || POSIX::ENOSPC();
  unlink $path;
  $! = $why;
  return $ok;
}
probe 'more than 64 MB in /tmp' => sub { filled('/tmp', 66) };
probe 'more than 64 MB in /dev/shm' => sub { filled('/dev/shm', 66) };
