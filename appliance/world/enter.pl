# Becomes a row's command: in its cgroups, and without any descriptor above those that the row lists. launch.ts starts every process through it.
# Node marks only the low ones of what it inherited close-on-exec; a folder that the owner's shell left open at 20 would lead a guest past its view.
# Usage: enter.pl HIGHEST-DESCRIPTOR COUNT CGROUP.PROCS... COMMAND...
use strict;
use warnings;

my ($highest, $count) = splice @ARGV, 0, 2;
for my $procs (splice @ARGV, 0, $count) {
  open(my $file, '>', $procs) or die "$procs: $!\n";
  syswrite($file, $$) or die "$procs: $!\n";
}
opendir(my $folder, '/proc/self/fd') or die "/proc/self/fd: $!\n";
my @beyond = grep { /^\d+$/ && $_ > $highest } readdir $folder;
closedir $folder;
for my $fd (@beyond) {
  open(my $file, "<&=$fd") or next; # the folder itself, closed by now
  close $file;
}
no warnings 'exec'; # said below, in the words that walls.ts knows
exec { $ARGV[0] } @ARGV or die "$ARGV[0]: $!\n";
