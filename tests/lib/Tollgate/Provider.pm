package Tollgate::Provider;

# An identity provider: HTTP/1.1, with answers that a test changes while it runs, keys, and tokens.
#
#	start_provider($t, 8090);
#	new_key($_) for qw/one two/;
#	answers('jwks', body => key_set('one'));
#	...
#	my $token = token('one', { sub => 'acme' });
#	is(asked('jwks'), 1, 'asked once');
#
# The answer to /NAME, or to /NAME/anything, is the file NAME.answer in the test's directory. Each
# request is a line of provider.log, written when it has come and before it is answered.

use strict;
use warnings;

use Exporter qw/import/;
use IO::Socket::INET;
use JSON::PP qw//;
use MIME::Base64 qw/encode_base64url decode_base64/;
use POSIX qw//;
use Test::Nginx qw/port/;
use Time::HiRes qw/sleep time/;
use Tollgate qw/json jws/;
use Tollgate::Classifier qw/judged/;
use Tollgate::Client qw/poll/;

our @EXPORT = qw/start_provider answers asked asked_soon times_asked complaints new_key jwk key_set token
	unsigned/;

# Only a failing test waits so long.
use constant PATIENCE => 180;

###############################################################################
# What it answers, and what it was asked

# The test's directory.
my $dir;

# Runs it until the test ends, on the port that stands for $number. Comes before all else.
sub start_provider {
	my ($t, $number) = @_;
	$dir = $t->testdir();
	$t->run_daemon(\&_serve, port($number));
	$t->waitforsocket('127.0.0.1:' . port($number)) or die "The provider does not start\n";
}

# Sets the answer to /$name, from the next request on. Options:
#
#	body      text, or what json() takes; nothing by default
#	tokens    { token => body }: for the token of a request for introspection, in place of body
#	judges    the format of a classifier, whose answer it is, in place of body and status
#	limit     the longest text that the classifier takes, in bytes
#	status    200 by default
#	type      application/json
#	headers   further header lines
#	hold      1: there is no answer until the next call of answers(), and then that one
#	delay     seconds
#	close     1: the connection is closed without an answer
#	cut       so many bytes are missing at the end, and then the connection is closed
#	endless   the body is sent again and again, until somebody closes the connection; with a
#	          number below 1, so many seconds are between
sub answers {
	my ($name, %options) = @_;
	my $text = sub { ref $_[0] ? json($_[0]) : $_[0] };
	$options{body} = $text->($options{body}) if defined $options{body};
	my $tokens = $options{tokens};
	$options{tokens} = { map { $_ => $text->($tokens->{$_}) } keys %$tokens } if $tokens;
	# A reader sees all of it or nothing.
	_write("$name.answer.new", JSON::PP->new->ascii->encode(\%options));
	rename "$dir/$name.answer.new", "$dir/$name.answer" or die "Can't rename $name.answer.new: $!\n";
}

# The requests for /$name so far: hashes of method, uri, headers ({ name in lower case => value }),
# body, params (of the body as a form), connection (the same for all of a connection), and time.
sub asked {
	my ($name) = @_;
	my $text = _read('provider.log') // '';
	# The others aren't decoded: some have large bodies, and JSON::PP takes seconds for them.
	return grep { $_->{uri} =~ m!^/\Q$name\E(?:[/?]|$)! } map { JSON::PP->new->decode($_) }
		grep { index($_, "\"uri\":\"/$name") >= 0 } $text =~ /^(.*)\n/mg;
}

# How many they are; none is decoded.
sub times_asked {
	my ($name) = @_;
	my $text = _read('provider.log') // '';
	return scalar(() = $text =~ m!"uri":"/\Q$name\E["/?]!g);
}

# The same, once there are at least $count.
sub asked_soon {
	my ($name, $count) = @_;
	my @requests;
	poll { (@requests = asked($name)) >= $count };
	return @requests;
}

# How many errors of this module the log has about keys from the location $uri.
sub complaints {
	my ($t, $uri) = @_;
	my @lines = grep { m!\[error\]! && m!tollgate! && m!"\Q$uri\E"! && m!key! }
		split /\n/, $t->read_file('error.log');
	return scalar @lines;
}

###############################################################################
# Keys and tokens

# Makes the key pair $name: "EC", for ES256, or "RSA", for RS256.
sub new_key {
	my ($name, $kind) = @_;
	my $path = "$dir/$name";
	my @options = ($kind // 'EC') eq 'RSA' ? qw/RSA -pkeyopt rsa_keygen_bits:2048/
		: qw/EC -pkeyopt ec_paramgen_curve:P-256/;
	_openssl('genpkey', '-algorithm', @options, '-out', "$path.key");
	_openssl('pkey', '-in', "$path.key", '-pubout', '-out', "$path.pub");
}

# Its public key as a JWK, whose kid is the name.
sub jwk {
	my ($name, %members) = @_;
	my $path = "$dir/$name.pub";
	my ($base64) = _read("$name.pub") =~ /-----\n(.*?)-----/s;
	my $der = decode_base64($base64);
	my %all = (kid => $name, use => 'sig', %members);
	if (length $der > 100) {
		my ($modulus) = `openssl rsa -pubin -in $path -noout -modulus` =~ /=([0-9A-F]+)/;
		return { kty => 'RSA', n => encode_base64url(pack 'H*', $modulus), e => 'AQAB', %all };
	}
	my ($x, $y) = map { encode_base64url($_) } unpack 'a32 a32', substr $der, -64;
	return { kty => 'EC', crv => 'P-256', x => $x, y => $y, %all };
}

# A JWK Set of the public keys of these names.
sub key_set {
	my (@names) = @_;
	return json({ keys => [map { jwk($_) } @names] });
}

# A token with these claims, and an exp in an hour, signed by the key of that name. Further members
# of the header may follow; undef takes one away.
sub token {
	my ($name, $claims, %header) = @_;
	my $is_rsa = length _read("$name.pub") > 300;
	%header = (alg => $is_rsa ? 'RS256' : 'ES256', kid => $name, %header);
	delete @header{grep { !defined $header{$_} } keys %header};
	return jws(\%header, { exp => int(time()) + 3600, %$claims }, sub {
		_write('to-sign', $_[0]);
		_openssl('dgst', '-sha256', '-sign', "$dir/$name.key", '-out', "$dir/signature",
			"$dir/to-sign");
		my $signature = _read('signature');
		return $signature if $is_rsa;
		# From the two integers of RFC 3279 to the two fields of RFC 7518.
		return join '', map { substr "\0" x 32 . $_, -32 } unpack 'x2 xC/a xC/a', $signature;
	});
}

# A token that names a key, and has a signature that no key made.
sub unsigned {
	my ($kid, $claims) = @_;
	return jws({ alg => 'ES256', kid => $kid }, { exp => int(time()) + 3600, %$claims },
		sub { "\1" x 64 });
}

sub _openssl {
	my (@arguments) = @_;
	system("openssl @arguments >>$dir/openssl.out 2>&1") == 0
		or die "Can't run openssl @arguments:\n" . _read('openssl.out');
}

###############################################################################
# The server: a process for each connection, so that one can wait while others are answered

sub _serve {
	my ($port) = @_;
	my $server = IO::Socket::INET->new(
		Proto => 'tcp',
		LocalAddr => "127.0.0.1:$port",
		Listen => 128,
		ReuseAddr => 1,
	) or die "Can't create listening socket: $!\n";
	local $SIG{CHLD} = 'IGNORE';
	my $parent = $$;

	while (1) {
		my $client = $server->accept() or next;
		my $pid = fork() // die "Can't fork: $!\n";
		if ($pid == 0) {
			$server->close();
			$SIG{PIPE} = 'IGNORE';
			$client->autoflush(1);
			eval { 1 while _answer($client, $parent) };
			warn $@ if $@;
			# Without what the test does at its end.
			POSIX::_exit(0);
		}
		$client->close();
	}
}

# Answers one request; true if another one may follow.
sub _answer {
	my ($client, $parent) = @_;
	my $request = _request($client) // return 0;
	open my $log, '>>', "$dir/provider.log" or die "Can't open provider.log: $!\n";
	syswrite $log, JSON::PP->new->ascii->canonical->encode($request) . "\n";
	close $log;

	my ($name) = $request->{uri} =~ m!^/([^/?]+)!;
	my $end = time() + PATIENCE;
	my $answer;
	while (1) {
		$answer = _answer_to($name // '');
		last unless $answer->{hold};
		# The test is over.
		return 0 if getppid() != $parent or time() > $end;
		sleep 0.01;
	}
	sleep $answer->{delay} if $answer->{delay};
	return 0 if $answer->{close};

	($answer->{status}, $answer->{body}) = judged($answer->{judges}, $request->{body}, $answer->{limit})
		if $answer->{judges};
	my $body = $answer->{body} // '';
	my $token = $request->{params}{token};
	$body = $answer->{tokens}{$token} // $body if $answer->{tokens} and defined $token;
	my $length = length $body;
	my $keep = ($request->{headers}{connection} // '') ne 'close'
		&& $request->{version} eq '1.1' && !$answer->{cut} && !$answer->{endless};
	my @lines = ('HTTP/1.1 ' . ($answer->{status} // 200) . ' Status',
		'Content-Type: ' . ($answer->{type} // 'application/json'),
		$answer->{endless} ? () : "Content-Length: $length",
		'Connection: ' . ($keep ? 'keep-alive' : 'close'), @{$answer->{headers} // []});
	print $client join "\r\n", @lines, '', '';
	if ($answer->{endless}) {
		my $pause = $answer->{endless} < 1 ? $answer->{endless} : 0;
		while (print $client $body) {
			sleep $pause if $pause;
			return 0 if getppid() != $parent;
		}
		return 0;
	}
	print $client substr $body, 0, $length - ($answer->{cut} // 0);
	return $keep;
}

sub _request {
	my ($client) = @_;
	my $line = <$client> // return undef;
	my ($method, $uri, $version) = $line =~ m!^(\S+) (\S+) HTTP/(1\.\d)\r?\n!
		or die "The provider got: $line\n";
	my %headers;
	while (defined($line = <$client>)) {
		last if $line =~ /^\r?\n$/;
		my ($name, $value) = $line =~ /^([^:]+):[ \t]*(.*?)[ \t]*\r?\n/ or die "No header: $line\n";
		$name = lc $name;
		$headers{$name} = exists $headers{$name} ? "$headers{$name}, $value" : $value;
	}
	my $body = '';
	read $client, $body, $headers{'content-length'} if $headers{'content-length'};
	my %params = map {
		map { s/\+/ /gr =~ s/%([0-9a-f]{2})/chr hex $1/gier } (split(/=/, $_, 2), '')[0, 1]
	} split /&/, $body;
	return {
		method => $method, uri => $uri, version => $version, headers => \%headers, body => $body,
		params => \%params, connection => $$, time => time(),
	};
}

sub _answer_to {
	my ($name) = @_;
	my $text = _read("$name.answer") // return { status => 404, body => 'not found' };
	return JSON::PP->new->decode($text);
}

# The content of a file of the test's directory; undef if there is none.
sub _read {
	my ($name) = @_;
	open my $file, '<:raw', "$dir/$name" or return undef;
	local $/;
	return scalar(<$file>) // '';
}

sub _write {
	my ($name, $content) = @_;
	open my $file, '>:raw', "$dir/$name" or die "Can't create $name: $!\n";
	print $file $content;
	close $file or die "Can't write $name: $!\n";
}

1;
