# The first process of a tool container. sandbox/container.ts gives it to perl on the command line; perl-base is all it needs.
#
# stdin:  "<timeoutMs> <bytes>\n", then the script in so many bytes, then nothing more.
#         EOF at any time means that nobody waits for the answer: we exit, and as we are pid 1 everything in here is gone.
# exit:   the script's own; 128 + signal; 124 after the time limit; 125 without a job; 126 when no shell could start.
use strict;
use warnings;
use POSIX ();

sub nobody_waits { POSIX::_exit(125) }

sub take {    # exactly so many bytes of stdin, or the end
    my ($want) = @_;
    my $got = '';
    while (length($got) < $want) {
        my $read = sysread(STDIN, $got, $want - length($got), length($got));
        next if !defined($read) && $!{EINTR};
        nobody_waits() unless $read;
    }
    return $got;
}

# A job follows the start at once; one that never does must not leave us here. (Pid 1 has no default for ALRM.)
local $SIG{ALRM} = \&nobody_waits;
alarm 30;
my $head = '';
$head .= take(1) while $head !~ /\n\z/ && length($head) < 40;
my ($timeout_ms, $bytes) = $head =~ /\A(\d{1,9}) (\d{1,9})\n\z/ or nobody_waits();
my $script = take($bytes);
alarm 0;

# Wakes the select below; a signal alone could slip in just before it.
local $SIG{CHLD} = sub { };

my $child = fork();
defined $child or POSIX::_exit(126);
if ($child == 0) {
    POSIX::setsid();
    $SIG{CHLD} = 'DEFAULT';
    open(STDIN, '<', '/dev/null');
    if (!chdir('/workspace')) {
        print STDERR "holdfast: /workspace cannot be entered: $!\n";
        POSIX::_exit(126);
    }
    my $shell = -x '/bin/bash' ? '/bin/bash' : '/bin/sh';
    exec({ $shell } $shell, '-c', $script) or POSIX::_exit(126);
}

# times(2) counts real time from a fixed point: setting the clock moves no deadline.
my $ticks = POSIX::sysconf(POSIX::_SC_CLK_TCK());
sub now_ms { return (POSIX::times())[0] * 1000 / $ticks }

my $deadline = now_ms() + $timeout_ms;
my $grace_ms = 2000;    # from TERM to KILL, for a program that puts something away
my $late = 0;

while (1) {
    while ((my $pid = waitpid(-1, POSIX::WNOHANG())) > 0) {
        next if $pid != $child;    # an orphan that became ours
        POSIX::_exit(124) if $late;
        POSIX::_exit($? & 127 ? 128 + ($? & 127) : $? >> 8);
    }
    my $left = $deadline - now_ms();
    if ($left <= 0) {
        POSIX::_exit(124) if $late;
        $late = 1;
        $deadline = now_ms() + $grace_ms;
        kill 'TERM', -$child;
        next;
    }
    my $wait = $left < 100 ? $left : 100;
    my $ready = '';
    vec($ready, fileno(STDIN), 1) = 1;
    if (select($ready, undef, undef, $wait / 1000) > 0) {
        my $read = sysread(STDIN, my $ignored, 4096);
        nobody_waits() if defined($read) ? $read == 0 : !$!{EINTR};
    }
}
