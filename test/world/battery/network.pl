# Ways out of the network namespace, and ways to change it.
use strict;
use warnings;
use Battery;
use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6 AF_INET6 IPPROTO_TCP IPPROTO_UDP IPPROTO_IPV6);

use constant { AF_NETLINK => 16, AF_PACKET => 17, AF_BLUETOOTH => 31, AF_ALG => 38, AF_VSOCK => 40, AF_XDP => 44 };

sub to4 { my ($host, $port) = @_; pack_sockaddr_in($port, inet_aton($host)) }
sub to6 { my ($host, $port) = @_; pack_sockaddr_in6($port, inet_pton(AF_INET6, $host)) }

sub made { my ($family, $type, $protocol) = @_; return socket(my $s, $family, $type, $protocol) }
sub dial { my ($to, $family, $type, $protocol) = @_; socket(my $s, $family, $type, $protocol) or return 0; connect($s, $to) }
sub tcp4 { my ($host, $port) = @_; dial(to4($host, $port), AF_INET, SOCK_STREAM, 0) }

sub sent {
  my ($to, $bytes, $family, $type, $protocol) = @_;
  socket(my $s, $family, $type, $protocol) or return 0;
  setsockopt($s, SOL_SOCKET, SO_BROADCAST, 1);
  # On loopback a connected socket hears of a refusal; the far end may answer from another of its addresses.
  connect($s, $to) or return 0 if $family == AF_INET && (unpack_sockaddr_in($to))[1] =~ /^\x7f/;
  return defined send($s, $bytes, 0, $to) ? $s : 0;
}
# Sends, and waits for the far end's answer.
sub asked { my $s = sent(@_) or return 0; defined recv($s, my $answer, 4096, 0) }
sub asked4 { my ($host, $port, $bytes) = @_; asked(to4($host, $port), $bytes, AF_INET, SOCK_DGRAM, 0) }
sub asked6 { my ($host, $port, $bytes) = @_; asked(to6($host, $port), $bytes, AF_INET6, SOCK_DGRAM, 0) }

my $question = pack('nnnnnn', 7, 0x100, 1, 0, 0, 0) . "\7example\3com\0" . pack('nn', 1, 1);

probe 'tcp4 out' => sub { tcp4(target('far4'), 443) };
probe 'tcp6 out' => sub { dial(to6(target('far6'), 443), AF_INET6, SOCK_STREAM, 0) };
probe 'udp4 out' => sub { asked4(target('far4'), 443, 'quic?') };
probe 'udp6 out' => sub { asked6(target('far6'), 443, 'quic?') };
probe 'dns over udp4' => sub { asked4(target('far4'), 53, $question) };
probe 'dns over udp6' => sub { asked6(target('far6'), 53, $question) };
probe 'dns over tcp' => sub { tcp4(target('far4'), 53) };
probe 'dns of the host resolver' => sub { asked4(target('resolver'), 53, $question) };
probe 'cloud metadata' => sub { tcp4('169.254.169.254', 80) };
probe 'multicast' => sub { sent(to4('224.0.0.251', 5353), $question, AF_INET, SOCK_DGRAM, 0) };
probe 'broadcast' => sub { sent(to4('255.255.255.255', 67), 'anyone?', AF_INET, SOCK_DGRAM, 0) };
probe 'sctp out' => sub { dial(to4(target('far4'), 443), AF_INET, SOCK_STREAM, 132) };

sub echo { pack('CCnnn', 8, 0, ~(0x800 + 7 + 1) & 0xffff, 7, 1) }
probe 'icmp by datagram socket' => sub { asked(to4(target('far4'), 0), echo(), AF_INET, SOCK_DGRAM, 1) };
probe 'icmp by raw socket' => sub { asked(to4(target('far4'), 0), echo(), AF_INET, SOCK_RAW, 1) };
probe 'raw ipv4' => sub { sent(to4(target('far4'), 0), 'raw', AF_INET, SOCK_RAW, 253) };
probe 'raw ipv6' => sub { sent(to6(target('far6'), 0), 'raw', AF_INET6, SOCK_RAW, 253) };
probe 'packet socket' => sub {
  socket(my $s, AF_PACKET, SOCK_RAW, unpack('S', pack('n', 0x0800))) or return 0;
  ioctl($s, 0x8933, my $row = pack('a16 x24', 'lo')) or return 0; # SIOCGIFINDEX
  my $to = pack('S n l S C C a8', AF_PACKET, 0x0800, unpack('x16 l', $row), 1, 0, 6, "\xff" x 6);
  defined send($s, "\xff" x 6 . "\2" x 6 . pack('n', 0x0800) . 'frame', 0, $to);
};
probe 'vsock' => sub { made(AF_VSOCK, SOCK_STREAM, 0) };
probe 'kernel crypto socket' => sub { made(AF_ALG, 5, 0) };
probe 'bluetooth' => sub { made(AF_BLUETOOTH, SOCK_RAW, 1) };
probe 'xdp' => sub { made(AF_XDP, SOCK_RAW, 0) };
probe 'tun device' => sub { writable('/dev/net/tun') };

# rtnetlink(7): attributes and messages are padded to 4 bytes; an answer of type 2 carries an errno, 0 for done.
sub attribute { my ($type, $data) = @_; my $bytes = pack('SS', 4 + length $data, $type) . $data; $bytes . "\0" x (-length($bytes) % 4) }
sub message { my ($type, $flags, $body) = @_; pack('LSSLL', 16 + length $body, $type, $flags, 1, 0) . $body }
sub netlink {
  my ($protocol, @messages) = @_;
  socket(my $s, AF_NETLINK, SOCK_RAW, $protocol) or return 0;
  defined send($s, join('', @messages), 0, pack('SSLL', AF_NETLINK, 0, 0, 0)) or return 0;
  recv($s, my $answer, 65536, 0);
  my ($type, $code) = unpack('x4 S x10 l', $answer);
  return 1 if $type != 2;
  $! = -$code;
  return $code == 0;
}
sub change { my ($type, $body) = @_; netlink(0, message($type, 1 | 4 | 0x600, $body)) } # REQUEST ACK CREATE EXCL
sub link_of { my ($kind) = @_; change(16, pack('x16') . attribute(3, "p$kind\0") . attribute(18, attribute(1, $kind))) }
my $there = inet_aton('203.0.113.77');
probe 'netlink: read links' => sub { netlink(0, message(18, 1 | 0x300, pack('x16'))) };
probe 'netlink: add a veth' => sub { link_of('veth') };
probe 'netlink: add a dummy' => sub { link_of('dummy') };
probe 'netlink: add an address' => sub { change(20, pack('CCCCL', AF_INET, 32, 0, 0, 1) . attribute(2, $there)) };
probe 'netlink: add a route' => sub {
  change(24, pack('CCCCCCCCL', AF_INET, 32, 0, 0, 254, 4, 253, 1, 0) . attribute(1, $there) . attribute(4, pack('L', 1)));
};
probe 'netlink: add an nftables table' => sub {
  my $batch = pack('CCn', 0, 0, 10);
  my $table = message(10 << 8, 1 | 4 | 0x400, pack('CCn', 1, 0, 0) . attribute(1, "probe\0"));
  netlink(12, message(16, 1, $batch), $table, message(17, 1, $batch));
};
probe 'netlink: kernel events' => sub { made(AF_NETLINK, SOCK_RAW, 15) };
probe 'iptables by getsockopt' => sub {
  socket(my $s, AF_INET, SOCK_RAW, 255) or return 0;
  arrived(defined getsockopt($s, 0, 64), 'EINVAL'); # IPT_SO_GET_INFO, with the wrong length
};

# The same changes without netlink: netdevice(7) ioctls on an ordinary socket.
sub device { my ($call, $bytes) = @_; socket(my $s, AF_INET, SOCK_DGRAM, 0) or return 0; ioctl($s, $call, $bytes) }
probe 'ioctl: add an address' => sub { device(0x8916, pack('a16 S n a4 x16', 'lo:7', AF_INET, 0, inet_aton('203.0.113.78'))) };
probe 'ioctl: take lo down' => sub { device(0x8914, pack('a16 S x22', 'lo', 0)) && device(0x8914, pack('a16 S x22', 'lo', 0x41)) };
probe 'ioctl: add a route' => sub {
  my $address = sub { pack('S n a4 x8', AF_INET, 0, inet_aton($_[0])) };
  my $device = "lo\0";
  device(0x890B, pack('x8 a16 a16 a16 S x22 S x6 P x24', $address->('203.0.113.79'), $address->('0.0.0.0'),
    $address->('255.255.255.255'), 1, 0, $device));
};
probe 'net sysctl' => sub { writable('/proc/sys/net/ipv4/ip_forward') };

# What listens on the host itself.
probe 'tcp service on host loopback' => sub { tcp4('127.0.0.1', target('tcp')) };
probe 'udp service on host loopback' => sub { asked4('127.0.0.1', target('udp'), 'hello') };
probe 'a door of another agent' => sub { tcp4('127.0.0.1', target('other')) };
probe 'a datagram door of another agent' => sub { asked4('127.0.0.1', target('other'), 'hello') };

# EPROTOTYPE: it is there, and speaks datagrams.
sub unix_socket { my ($path) = @_; arrived(dial(pack('S a*', AF_UNIX, $path), AF_UNIX, SOCK_STREAM, 0), 'EPROTOTYPE') }
probe 'abstract unix socket of the host' => sub { unix_socket("\0" . target('abstract')) };
probe 'unix socket in the host /tmp, mode 0777' => sub { unix_socket(target('folder') . '/sock') };
probe 'the launch socket' => sub { unix_socket(target('launch')) };
for my $path (split / /, target('sockets')) { probe "unix socket $path" => sub { unix_socket($path) } }
