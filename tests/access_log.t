#!/usr/bin/perl

# What nginx's own log says of a request by $tollgate_*, is what it was charged and what the audit log says,
# however the request ended.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/keys_file status/;
use Tollgate::Client;
use Tollgate::Engine qw/needs_engine start_engine/;
use Tollgate::H2;
use Tollgate::Metered;

use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http http_v2 proxy/)->plan(27);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone   zone=tollgate:1m;
    tollgate_tier   large { tokens 30/d burst=10k; }
    tollgate_tier   small { tokens 1k/d burst=10; }
    tollgate_price  m input=1 output=2;

    # So that nothing is learned of the input.
    tollgate_estimate    bytes_per_token=4;
    tollgate_oversized   refuse;
    tollgate_api_keys    keys.json;
    tollgate_audit_log   %%TESTDIR%%/audit.log;

    log_format  taken  '$tollgate_request_id $tollgate_client $tollgate_decision $tollgate_reason '
                       '$tollgate_usage $tollgate_input_tokens $tollgate_output_tokens $tollgate_cost';
    access_log  %%TESTDIR%%/taken.log taken;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        tollgate on;
        proxy_http_version  1.1;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /unbuffered/ {
            proxy_buffering  off;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /torn/ {
            proxy_pass http://127.0.0.1:8083/;
        }

        location /torn/unbuffered/ {
            proxy_buffering  off;
            proxy_pass       http://127.0.0.1:8083/;
        }

        location /impatient/ {
            proxy_buffering     off;
            proxy_read_timeout  300ms;
            proxy_pass          http://127.0.0.1:8081/;
        }
    }
}

EOC

$t->write_file('keys.json', keys_file(
	(map { { key => "key-$_", client => $_, tier => $_ } } qw/large small/)));
start_engine($t, 8081);
$t->run_daemon(\&torn_daemon, port(8083));
$t->run();
$t->waitforsocket('127.0.0.1:' . port(8083));

###############################################################################

# To its end.

for my $place ('', '/unbuffered') {
	for my $stream (0, 1) {
		my $name = ($place || 'buffered') . ($stream ? ', stream' : '');
		my $id = new_id();
		ask(post("$place/v1/chat/completions", body($stream), lines($id, 20)));
		is(taken($t, $id), 'large allow - measured 3 20 0.000043', "$name: complete");
		$id = new_id();
		ask(post("$place/v1/chat/completions", body($stream), lines($id, 20), 'X-Mock-Status: 500'));
		is(taken($t, $id), 'large allow - none - - -', "$name: an error of the engine");
	}
}

# Cut by the client in mid-stream, or by the engine. What is logged beside it is counted once more.

for my $place ('', '/unbuffered') {
	my $name = $place || 'buffered';
	my $id = new_id();
	my $connection = connection();
	# Buffered, as much comes at once as a buffer holds.
	my $tokens = $place ? 7 : 2000;
	$connection->send(post("$place/v1/chat/completions", body(1, 2000), lines($id, $tokens), 'X-Mock-Hold: 1'));
	$connection->peek(sub { 7 <= (() = $_[0] =~ /"content":"[^"]/g) });
	$connection->close();
	like(taken($t, $id), $place ? qr/^large allow - partial 13 7 \S+$/ : qr/^large allow - partial 13 \d+ \S+$/,
		"$name: the client leaves");

	$id = new_id();
	ask(post("$place/v1/chat/completions", body(1), lines($id, 50), 'X-Mock-Cut-After: 9'));
	is(taken($t, $id), 'large allow - partial 13 9 0.000031', "$name: the engine breaks off");

	# While the engine is still at the prompt.
	$id = new_id();
	$connection = connection();
	$connection->send(post("$place/v1/chat/completions", body(0), lines($id, 7), 'X-Mock-Latency-Ms: 60000'));
	poll { defined engine_body(8081, $id) };
	$connection->close();
	is(taken($t, $id), 'large allow - partial 13 0 0.000013', "$name: the client leaves before the answer");
}

my $id = new_id();
ask(post('/impatient/v1/chat/completions', body(1), lines($id, 5), 'X-Mock-Hold: 1'));
is(taken($t, $id), 'large allow - partial 13 5 0.000023', 'the engine falls silent');

# Cut in the middle of what says how much it was: read to where it goes, and no further.

for my $place (qw!/torn /torn/unbuffered!) {
	for my $case (['stream', 'large allow - measured 5 9 0.000023'], ['document', qr/^large allow - partial 13 [1-9]/]) {
		my ($what, $expected) = @$case;
		my $id = new_id();
		ask(post("$place/v1/chat/completions", body($what eq 'stream'), lines($id, 1), 'X-Torn: end'));
		like(taken($t, $id), ref $expected ? $expected : qr/^\Q$expected\E$/, "$place, a $what: the engine breaks off");
		next if $place !~ /unbuffered/;
		$id = new_id();
		my $connection = connection();
		$connection->send(post("$place/v1/chat/completions", body($what eq 'stream'), lines($id, 1), 'X-Torn: hold'));
		# The torn event is held back: it may have to be hidden.
		$connection->peek(sub { $_[0] =~ /word .*word /s });
		$connection->close();
		like(taken($t, $id), ref $expected ? $expected : qr/^\Q$expected\E$/, "$place, a $what: the client leaves");
	}
}

# Over HTTP/2: complete, reset, and with its connection.

my $h2 = Tollgate::H2->new(port(8082));
for my $case (qw/complete reset close/) {
	$id = new_id();
	my %lines = map { split /: / } lines($id, 7), $case eq 'complete' ? () : 'X-Mock-Hold: 1';
	my $stream = $h2->post('/unbuffered/v1/chat/completions', Tollgate::json(body(1)), %lines);
	poll {
		$h2->receive();
		$h2->{ended}{$stream} || 7 == (() = ($h2->{data}{$stream} // '') =~ /"content":"[^"]/g);
	};
	# RST_STREAM with CANCEL
	$h2->_send(3, 0, $stream, pack 'N', 8) if $case eq 'reset';
	$h2->close() if $case eq 'close';
	is(taken($t, $id), $case eq 'complete' ? 'large allow - measured 3 7 0.000017'
		: 'large allow - partial 13 7 0.000027', "HTTP/2: $case");
}

# Refused.

$id = new_id();
ask(post('/v1/chat/completions', body(0), "X-Request-ID: $id"));
is(taken($t, $id), '- deny missing_credential - - - -', 'refused: no credential');
$id = new_id();
ask(post('/v1/chat/completions', body(0), "X-Request-ID: $id", 'X-API-Key: key-small'));
is(taken($t, $id), 'small deny request_over_limit none - - -', 'refused: a limit');
$id = new_id();
ask(post('/v1/chat/completions', '{', "X-Request-ID: $id", 'X-API-Key: key-large'));
is(taken($t, $id), 'large deny malformed_request - - - -', 'refused: a body');

###############################################################################

# Sends a part of an answer, and ends or waits for its client to leave.
sub torn_daemon {
	my ($port) = @_;
	my $server = IO::Socket::INET->new(
		Proto => 'tcp', LocalAddr => "127.0.0.1:$port", Listen => 50, ReuseAddr => 1)
		or die "Can't create listening socket: $!\n";
	local $SIG{PIPE} = 'IGNORE';
	while (my $client = $server->accept()) {
		my $head = '';
		while (<$client>) {
			last if /^\x0d?\x0a?$/;
			$head .= $_;
		}
		next unless $head =~ /^Content-Length: (\d+)/mi;
		read $client, my ($body), $1;
		my $delta = qq(data: {"choices":[{"index":0,"delta":{"content":"word "}}]}\n\n);
		my $torn = $body =~ /"stream"/
			? qq($delta${delta}data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":9},"TORN":0})
			: '{"choices":[{"index":0,"message":{"content":"' . 'word ' x 20 . 'TORN';
		print $client "HTTP/1.1 200 OK\x0d\x0aTransfer-Encoding: chunked\x0d\x0a"
			. "Content-Type: text/event-stream\x0d\x0a\x0d\x0a"
			. sprintf("%x\x0d\x0a%s\x0d\x0a", length $torn, $torn);
		$client->flush();
		# Not with a reset, which could overtake it.
		sysread $client, my ($some), 1 if $head =~ /^X-Torn: hold/mi;
		close $client;
	}
}

sub body {
	my ($stream, $bound) = @_;
	return { model => 'm', max_tokens => $bound // 60, $stream ? (stream => JSON::PP::true) : (),
		messages => [ { role => 'user', content => 'one two three' } ] };
}

sub lines {
	my ($id, $tokens) = @_;
	return ("X-Request-ID: $id", 'X-API-Key: key-large', "X-Mock-Tokens: $tokens");
}

# What both logs say of a request; what they don't agree on shows.
sub taken {
	my ($t, $id) = @_;
	my ($line) = audited($t, $id);
	my $logged;
	poll { ($logged) = $t->read_file('taken.log') =~ /^\Q$id\E (.*)\n/m };
	$line->{cost} = sprintf('%.9f', $line->{cost}) =~ s/0+$//r if defined $line->{cost};
	my $audit = join ' ', map { $line->{$_} // '-' }
		qw/client decision reason usage input_tokens output_tokens cost/;
	return $audit eq $logged ? $logged : "$logged, but in the audit log $audit";
}

###############################################################################
