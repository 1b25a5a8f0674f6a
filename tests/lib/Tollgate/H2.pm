package Tollgate::H2;

# Several requests at a time on one HTTP/2 connection (RFC 9113), which is what curl is no help with.
# Header fields are sent literally (RFC 7541 section 6.2.2), and those of responses are not read.
#
#	my $h2 = Tollgate::H2->new(port(8082));
#	my $stream = $h2->post('/v1/completions', $body, 'X-API-Key' => 'key');
#	poll { $h2->receive(); $h2->{reset}{$stream} };

use strict;
use warnings;

use IO::Socket::INET;
use Test::Nginx qw/log_out/;

use constant { DATA => 0, HEADERS => 1, RST_STREAM => 3, SETTINGS => 4, PING => 6, WINDOW_UPDATE => 8 };
use constant { ACK => 1, END_STREAM => 1, END_HEADERS => 4 };

sub new {
	my ($class, $port) = @_;
	my $socket = IO::Socket::INET->new(Proto => 'tcp', PeerAddr => "127.0.0.1:$port")
		or die "Can't connect to nginx: $!\n";
	# data, ended, reset: by the number of the stream.
	my $self = bless { socket => $socket, buffer => '', next => 1, data => {}, ended => {}, reset => {} }, $class;
	$socket->print("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	# SETTINGS_INITIAL_WINDOW_SIZE
	$self->_send(SETTINGS, 0, 0, pack 'nN', 4, 1 << 30);
	$self->_send(WINDOW_UPDATE, 0, 0, pack 'N', 1 << 30);
	return $self;
}

# The number of the new stream.
sub post {
	my ($self, $uri, $body, %headers) = @_;
	my $stream = $self->{next};
	$self->{next} += 2;
	my @fields = (':method' => 'POST', ':scheme' => 'http', ':path' => $uri, ':authority' => 'localhost',
		'content-type' => 'application/json', map { lc, $headers{$_} } sort keys %headers);
	my $block = '';
	while (my ($name, $value) = splice @fields, 0, 2) {
		$block .= "\0" . join '', map { chr(length) . $_ } $name, $value;
	}
	$self->_send(HEADERS, END_HEADERS, $stream, $block);
	$self->_send(DATA, END_STREAM, $stream, $body);
	log_out("POST $uri HTTP/2\n" . join('', map { "$_: $headers{$_}\n" } sort keys %headers) . "\n$body");
	return $stream;
}

# Takes in what has come; waits for nothing.
sub receive {
	my ($self) = @_;
	while (1) {
		vec(my $readable = '', fileno($self->{socket}), 1) = 1;
		last unless select($readable, undef, undef, 0);
		last unless sysread $self->{socket}, $self->{buffer}, 65536, length $self->{buffer};
	}
	while (length $self->{buffer} >= 9) {
		my ($high, $low, $type, $flags, $stream) = unpack 'CnCCN', $self->{buffer};
		my $length = $high << 16 | $low;
		last if length $self->{buffer} < 9 + $length;
		my $payload = substr $self->{buffer}, 9, $length;
		substr $self->{buffer}, 0, 9 + $length, '';
		$self->{data}{$stream} .= $payload if $type == DATA;
		$self->{ended}{$stream} = 1 if ($type == DATA || $type == HEADERS) && $flags & END_STREAM;
		$self->{reset}{$stream} = 1 if $type == RST_STREAM;
		$self->_send($type, ACK, 0, $type == PING ? $payload : '')
			if ($type == SETTINGS || $type == PING) && !($flags & ACK);
	}
}

sub close {
	my ($self) = @_;
	$self->{socket}->close();
}

sub _send {
	my ($self, $type, $flags, $stream, $payload) = @_;
	my $length = length $payload;
	local $SIG{PIPE} = 'IGNORE';
	$self->{socket}->print(pack('CnCCN', $length >> 16, $length & 0xffff, $type, $flags, $stream), $payload);
	$self->{socket}->flush();
}

1;
