#!/usr/bin/perl

# What an engine made is charged, whether or not the client wants it in the end: nginx evaluates conditions
# and ranges when the answer is there, whatever the method, and goes on with an answer that it keeps when the
# client has left.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header keys_file status/;
use Tollgate::Client;
use Tollgate::H2;
use Tollgate::Metered;

use JSON::PP qw//;
use POSIX qw//;
use Socket qw/SOL_SOCKET SO_LINGER SO_RCVBUF/;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http http_v2 proxy cache/)->has_daemon('curl')->plan(38);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone   zone=tollgate:1m;
    # Nothing is refilled while the test runs.
    tollgate_tier   large { tokens 300/d burst=100k; concurrency 1; }

    # So that nothing is learned of the input.
    tollgate_estimate   bytes_per_token=4;
    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    proxy_cache_path  %%TESTDIR%%/cache keys_zone=cache:1m;
    proxy_cache_methods  POST;
    proxy_cache_key      "$http_x_key";
    proxy_cache_valid    200 1h;
    add_header           X-Cache $upstream_cache_status;

    server {
        listen       127.0.0.1:8080 sndbuf=32k;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        tollgate on;
        proxy_http_version  1.1;

        location /ranges/ {
            proxy_force_ranges  on;
            proxy_pass          http://127.0.0.1:8081/;
        }

        location /cache/ {
            proxy_cache  cache;
            proxy_pass   http://127.0.0.1:8081/;
        }

        location /store/ {
            proxy_store  %%TESTDIR%%/stored;
            proxy_pass   http://127.0.0.1:8081/;
        }

        location /impatient/ {
            error_log     %%TESTDIR%%/impatient.log info;
            send_timeout  1s;
            proxy_cache   cache;
            proxy_pass    http://127.0.0.1:8081/;
        }

        location /off/ {
            tollgate  off;
            return    204;
        }

        # No tokens are counted: nothing is to be read.
        location /file/ {
            tollgate  off;
            alias     %%TESTDIR%%/;
        }
    }
}

EOC

my @clients = map { "c$_" } 1 .. 20;
$t->write_file('keys.json', keys_file(map { { key => "key-$_", client => $_, tier => 'large' } } @clients));
$t->write_file('file.html', 'FILE');
$t->run_daemon(\&engine, port(8081), $t->testdir());
$t->run();
$t->waitforsocket('127.0.0.1:' . port(8081));

my $dir = $t->testdir();
my $key = 0;

###############################################################################

# Conditions and ranges. The engine's answer is of 2021, and has an ETag.

my $past = 'Thu, 01 Jan 2004 00:00:00 GMT';
my $exact = 'Fri, 01 Jan 2021 00:00:00 GMT';
for my $condition (
	'If-Match: "none"', "If-Unmodified-Since: $past", 'If-None-Match: "1"', 'If-None-Match: *',
	"If-Modified-Since: $exact", 'Range: bytes=0-9', 'Range: bytes=-9', 'Range: bytes=999999-',
	"Range: bytes=0-9\r\nIf-Range: \"1\"",
) {
	my ($client, @seen) = (shift @clients);
	for my $place (qw!/cache /ranges!) {
		my ($r, $line) = ask_for($t, "$place/v1/chat/completions", body(0), "X-API-Key: key-$client",
			'X-Key: ' . ++$key, $condition);
		push @seen, join ' ', status($r), http_content($r) =~ /\}\}\z/ ? 'whole' : 'part', taken($line);
	}
	is(join(', ', @seen), join(', ', ('200 whole measured 5 70') x 2), $condition =~ s/\r\n/, /r);
	my $id = new_id();
	my $r = h2($t, '/cache/v1/chat/completions', body(0), "X-API-Key: key-$client", "X-Request-ID: $id",
		'X-Key: ' . ++$key, split /\r\n/, $condition);
	is(status($r) . ' ' . taken((audited($t, $id))[0]), '200 measured 5 70',
		$condition =~ s!\r\n!, !r . ', HTTP/2');
	is(left($client), 100_000 - 3 * 75, "$condition: charged once each") if $condition =~ /Match: "none"|999999/;
}
like(http(request('/file/file.html', 'Range: bytes=0-1', 'Connection: close')), qr/ 206 .*\n\r?\nFI\z/s,
	'a range of a file');

###############################################################################

# A client that leaves an answer that nginx takes to its end: no way to have it made for less.

for my $place (qw!/cache /store!) {
	my $client = shift @clients;
	my ($id, $uri) = (new_id(), "$place/v1/chat/completions");
	my $connection = connection();
	$connection->send(post($uri, body(1), "X-API-Key: key-$client", "X-Request-ID: $id", 'X-Key: ' . ++$key,
		'X-Hold: 1'));
	# As much as nginx passes on at once.
	$connection->peek(sub { $_[0] =~ /word/ });
	setsockopt $connection->{socket}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
	$connection->close();
	is(status(ask(post($uri, body(0), "X-API-Key: key-$client"))), 429, "$place: its place is taken");
	$t->write_file('go', '');
	my ($line) = audited($t, $id);
	unlink "$dir/go";
	is("$line->{status} " . taken($line), '499 measured 5 70', "$place: who leaves, pays for all of it");
	is(left($client), 100_000 - 75, "$place: charged as logged");
	next if $place ne '/cache';
	my ($r, $hit) = ask_for($t, $uri, body(1), "X-API-Key: key-$client", "X-Key: $key");
	is(header($r, 'X-Cache') . ' ' . taken($hit), 'HIT none', "$place: it is kept");
}

# Nor is one lost that is no stream, as it was ready by then.

{
	my ($client, $id) = (shift @clients, new_id());
	my $uri = '/cache/v1/chat/completions';
	my $connection = connection();
	$connection->send(post($uri, body(0), "X-API-Key: key-$client", "X-Request-ID: $id", 'X-Key: ' . ++$key,
		'X-Hold: 1'));
	poll { -e "$dir/holds" };
	setsockopt $connection->{socket}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
	$connection->close();
	$t->write_file('go', '');
	my ($line) = audited($t, $id);
	unlink "$dir/go";
	is("$line->{status} " . taken($line), '499 measured 5 70', 'who leaves before a document, pays for it');
	my ($r, $hit) = ask_for($t, $uri, body(0), "X-API-Key: key-$client", "X-Key: $key");
	is(header($r, 'X-Cache') . ' ' . taken($hit), 'HIT none', 'who leaves before a document: it is kept');
}

# The same over HTTP/2, of a stream and of a connection.

for my $way (qw/reset close/) {
	my ($client, $id) = (shift @clients, new_id());
	my $h2 = Tollgate::H2->new(port(8082));
	my $stream = $h2->post('/cache/v1/chat/completions', Tollgate::json(body(1)), 'x-api-key' => "key-$client",
		'x-request-id' => $id, 'x-key' => ++$key, 'x-hold' => 1);
	poll { $h2->receive(); ($h2->{data}{$stream} // '') =~ /word/ };
	if ($way eq 'reset') {
		# RST_STREAM with CANCEL, and something behind it.
		$h2->_send(3, 0, $stream, pack 'N', 8);
		my $next = $h2->post('/off/', '');
		poll { $h2->receive(); $h2->{ended}{$next} };
	} else {
		$h2->close();
	}
	is(status(ask(post('/cache/v1/chat/completions', body(0), "X-API-Key: key-$client"))), 429,
		"HTTP/2, $way: its place is taken");
	$t->write_file('go', '');
	my ($line) = audited($t, $id);
	unlink "$dir/go";
	is("$line->{status} " . taken($line), '499 measured 5 70', "HTTP/2, $way: who leaves, pays for all of it");
	is(left($client), 100_000 - 75, "HTTP/2, $way: charged as logged");
	$h2->close() if $way eq 'reset';
}

# One that doesn't read what it is sent, until nginx gives it up: the rest comes by unread.

my ($client, $id) = (shift @clients, new_id());
my $connection = connection();
setsockopt $connection->{socket}, SOL_SOCKET, SO_RCVBUF, 16 * 1024;
$connection->send(post('/impatient/v1/chat/completions', body(1), "X-API-Key: key-$client",
	"X-Request-ID: $id", 'X-Key: ' . ++$key, 'X-Hold: 1', 'X-Fill: 1'));
poll { $t->read_file('impatient.log') =~ /client timed out/ };
$t->write_file('go', '');
is(taken((audited($t, $id))[0]), 'partial 13 100', 'who does not read it, pays what was reserved');
is(left($client), 100_000 - 113, 'charged as logged');

###############################################################################

sub body {
	my ($stream) = @_;
	return { model => 'm', max_tokens => 100, $stream ? (stream => JSON::PP::true) : (),
		messages => [ { role => 'user', content => 'one two three' } ] };
}

sub taken {
	my ($line) = @_;
	return join ' ', map { $_ // () } @$line{qw/usage input_tokens output_tokens/};
}

# What is left to the client, as soon as its place is free.
sub left {
	my ($client) = @_;
	my $r;
	poll {
		$r = ask(post('/ranges/v1/chat/completions', body(0), "X-API-Key: key-$client", 'X-Status: 400'));
		status($r) != 429;
	};
	return header($r, 'x-ratelimit-remaining-tokens') + 113;
}

# Answers with 70 tokens; a stream that is held pauses behind what nginx passes on, till it may go on.
sub engine {
	my ($port, $dir) = @_;
	my $server = IO::Socket::INET->new(
		Proto => 'tcp', LocalAddr => "127.0.0.1:$port", Listen => 50, ReuseAddr => 1)
		or die "Can't create listening socket: $!\n";
	local $SIG{PIPE} = 'IGNORE';
	local $SIG{CHLD} = 'IGNORE';
	while (my $client = $server->accept()) {
		next if fork;
		my $head = '';
		while (<$client>) {
			last if /^\x0d?\x0a?$/;
			$head .= $_;
		}
		POSIX::_exit(0) unless $head =~ /^Content-Length: (\d+)/mi;
		read $client, my ($body), $1;
		my $usage = '"usage":{"prompt_tokens":5,"completion_tokens":70}';
		my $delta = qq(data: {"choices":[{"index":0,"delta":{"content":"word "}}]}\n\n);
		my @lines = ('Connection: close', 'ETag: "1"', 'Last-Modified: Fri, 01 Jan 2021 00:00:00 GMT');
		if ($body =~ /"stream"/) {
			print $client join "\x0d\x0a", 'HTTP/1.1 200 OK', @lines, 'Content-Type: text/event-stream', '', '';
			print $client $delta x 10, ": comment\n\n" x 2000;
			print $client ": comment\n\n" x 2_000_000 if $head =~ /^X-Fill/mi;
			$client->flush();
			if ($head =~ /^X-Hold/mi) {
				select undef, undef, undef, 0.02 until -e "$dir/go";
			}
			print $client $delta x 60, "data: {\"choices\":[],$usage}\n\ndata: [DONE]\n\n";
		} else {
			if ($head =~ /^X-Hold/mi) {
				open my $holds, '>', "$dir/holds" or die;
				select undef, undef, undef, 0.02 until -e "$dir/go";
			}
			my $status = $head =~ /^X-Status: (\d+)/mi ? $1 : 200;
			my $answer = $status == 200
				? '{"choices":[{"index":0,"message":{"content":"' . 'word ' x 70 . qq("}}],$usage})
				: '{"error":{}}';
			print $client join "\x0d\x0a", "HTTP/1.1 $status X", @lines, 'Content-Type: application/json',
				'Content-Length: ' . length $answer, '', $answer;
		}
		close $client;
		POSIX::_exit(0);
	}
}

###############################################################################
