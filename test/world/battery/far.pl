# The far end of the control's wire: takes TCP and SCTP on 443, 80 and 53, and echoes UDP. Lives in a throwaway network namespace.
use strict;
use warnings;
use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6 AF_INET6 IN6ADDR_ANY IPPROTO_IPV6 IPV6_V6ONLY);

my (@accepting, @echoing, @held);
for my $port (53, 80, 443) {
  for my $family (AF_INET, AF_INET6) {
    my $at = $family == AF_INET ? pack_sockaddr_in($port, INADDR_ANY) : pack_sockaddr_in6($port, IN6ADDR_ANY);
    for my $kind ([SOCK_STREAM, 0], [SOCK_DGRAM, 0], [SOCK_STREAM, 132]) {
      socket(my $s, $family, $kind->[0], $kind->[1]) or next;
      setsockopt($s, IPPROTO_IPV6, IPV6_V6ONLY, 1) if $family == AF_INET6;
      bind($s, $at) or next;
      if ($kind->[0] == SOCK_STREAM) { listen($s, 16); push @accepting, $s }
      else { push @echoing, $s }
    }
  }
}
open(my $ready_file, '>', $ARGV[0]) or die;
while (1) {
  my $ready = '';
  vec($ready, fileno($_), 1) = 1 for @accepting, @echoing;
  select($ready, undef, undef, undef);
  for my $s (@accepting) { if (vec($ready, fileno($s), 1)) { accept(my $peer, $s); push @held, $peer } }
  for my $s (@echoing) {
    next unless vec($ready, fileno($s), 1);
    my $from = recv($s, my $bytes, 4096, 0);
    send($s, $bytes, 0, $from) if defined $from;
  }
}
