#!/usr/bin/perl

# llama.cpp makes an answer that is no stream to its end, though its client has left. So it is waited for:
# until then the client's place in "concurrency" is taken, and what it says that it did is charged. Where
# it doesn't say, it is charged as reserved.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header json keys_file status/;
use Tollgate::Client;
use Tollgate::H2;

use POSIX qw//;
use Socket qw/SOL_SOCKET SO_LINGER/;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http http_v2 proxy rewrite/)->plan(47)
	->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone      zone=tollgate:1m;
    # Nothing is refilled while the test runs.
    tollgate_tier      one { tokens 60/d burst=20k; concurrency 1; }
    tollgate_api_keys  keys.json;
    tollgate_audit_log %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;

        tollgate           on;
        tollgate_engine    llamacpp;
        proxy_http_version 1.1;

        location /buffered/ {
            proxy_pass http://127.0.0.1:8081/;
        }

        location /unbuffered/ {
            proxy_buffering off;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /impatient/ {
            proxy_read_timeout 300ms;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /vllm/ {
            tollgate_engine vllm;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /ping {
            tollgate off;
            return 204;
        }
    }
}

EOF

my @clients = map { "c$_" } 1 .. 30;
$t->write_file('keys.json', keys_file(map { { key => "key-$_", client => $_, tier => 'one' } } @clients));
$t->run_daemon(\&engine, port(8081), $t->testdir());
$t->run();
$t->waitforsocket('127.0.0.1:' . port(8081));

###############################################################################

my $dir = $t->testdir();
my $lines = 0;
# Connections that stay open while a stream of theirs is given up.
my @open;
for my $kind (
	['buffered', 'small', 100, 'measured'], ['unbuffered', 'small', 100, 'measured'],
	['buffered', 'large', 100, 'measured'], ['unbuffered', 'large', 100, 'measured'],
) {
	my ($location, $name, $output, $usage) = @$kind;
	for my $protocol (qw!HTTP/1.1 HTTP/2 reset!) {
		my $what = "$location, $name, $protocol";
		my $client = shift @clients;
		my $before = engine_log();
		leave($protocol, "/$location/v1/chat/completions", $client, $name);
		poll { engine_log() > $before };
		ping();
		is(status(ask($client, 'small', 0)), 429, "$what: its place is taken");
		$lines++;
		release();
		$lines++;
		my $line = (audit_lines($t, 'audit.log', $lines))[$lines - 1];
		is("$line->{usage} $line->{input_tokens} $line->{output_tokens}", "$usage 7 $output",
			"$what: charged what the engine did");
		is(status(ask($client, 'small', 1)), 200, "$what: its place is free");
		$lines++;
	}
}

# Who waits, gets it.

my $client = shift @clients;
my $r = ask($client, 'large', 1);
$lines++;
like(http_content($r), qr/"completion_tokens":100/, 'who waits, gets it');

# Who leaves while it is sent, pays for all of it.

for my $location (qw!/buffered /unbuffered!) {
	$client = shift @clients;
	my $body = body('huge', 'answer');
	my $socket = http(join("\r\n", "POST $location/v1/chat/completions HTTP/1.1", 'Host: localhost',
		"X-API-Key: key-$client", 'Content-Length: ' . length $body, '', $body), start => 1);
	sysread $socket, my $some, 100;
	setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
	close $socket;
	$lines++;
	my $line = (audit_lines($t, 'audit.log', $lines))[$lines - 1];
	is("$line->{status} $line->{usage} $line->{output_tokens}", '499 measured 100',
		"$location: who leaves in mid-answer");
}

# An engine that takes longer than nginx waits: charged as reserved, whether or not somebody waits.

for my $leaves (0, 1) {
	my $before = engine_log();
	$client = shift @clients;
	if ($leaves) {
		leave('HTTP/1.1', '/impatient/v1/chat/completions', $client, 'small');
	} else {
		is(status(ask($client, 'small', 1, '/impatient', 'hold')), 504, 'nginx has no more patience');
	}
	$lines++;
	my $line = (audit_lines($t, 'audit.log', $lines))[$lines - 1];
	is($line->{output_tokens}, 500, 'then it is charged as reserved');
	is($line->{usage}, 'partial', 'and that shows');
	poll { engine_log() > $before };
	release();
}

# A stream ends with its client; and so does an engine that looks after its clients.

for my $case (['/buffered', 'stream'], ['/vllm', 'small']) {
	my ($location, $name) = @$case;
	$client = shift @clients;
	my $before = engine_log();
	leave('HTTP/1.1', "$location/v1/chat/completions", $client, $name);
	poll { engine_log() > $before };
	$lines++;
	my $line = (audit_lines($t, 'audit.log', $lines))[$lines - 1];
	is($line->{status}, 499, "$location, $name: ends with its client");
	release();
}

# nginx that is told to quit waits, too; nothing is lost.

$client = shift @clients;
my $before = engine_log();
leave('HTTP/1.1', '/buffered/v1/chat/completions', $client, 'small');
poll { engine_log() > $before };
my ($pid) = $t->read_file('nginx.pid') =~ /(\d+)/;
kill QUIT => $pid;
release();
$lines++;
my $line = (audit_lines($t, 'audit.log', $lines))[$lines - 1];
is("$line->{usage} $line->{output_tokens}", 'measured 100', 'quit: charged what the engine did');

###############################################################################

sub body {
	my ($name, $hold) = @_;
	return json({ model => $name, max_tokens => 500, messages => [{ role => 'user', content => $hold }],
		$name eq 'stream' ? (stream => JSON::PP::true()) : () });
}

# Sends a request, and leaves when the engine may have it.
sub leave {
	my ($protocol, $uri, $client, $name) = @_;
	my $body = body($name, 'hold');
	if ($protocol ne 'HTTP/1.1') {
		my $h2 = Tollgate::H2->new(port(8082));
		my $before = engine_log();
		my $stream = $h2->post($uri, $body, 'x-api-key' => "key-$client");
		poll { engine_log() > $before };
		# RST_STREAM with CANCEL, or the end of the connection
		$h2->_send(3, 0, $stream, pack 'N', 8) if $protocol eq 'reset';
		push @open, $h2 if $protocol eq 'reset';
		$h2->close() if $protocol ne 'reset';
		return;
	}
	my $before = engine_log();
	my $socket = http(join("\r\n", "POST $uri HTTP/1.1", 'Host: localhost', "X-API-Key: key-$client",
		'Content-Length: ' . length $body, '', $body), start => 1);
	poll { engine_log() > $before };
	# With a reset, so that the first write fails: there is no telling of a half-closed connection.
	setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
	close $socket;
}

sub ask {
	my ($client, $name, $is_free, $location, $hold) = @_;
	my $body = body($name, $hold // 'answer');
	return http(join "\r\n", 'POST ' . ($location // '/buffered') . '/v1/chat/completions HTTP/1.1', 'Host: localhost',
		'Connection: close', "X-API-Key: key-$client", 'Content-Length: ' . length $body, '', $body);
}

# How many requests the engine has got so far.
sub engine_log {
	open my $asked, '<', "$dir/asked" or return 0;
	return scalar(() = <$asked>);
}

# Lets the engine answer what it holds.
sub release {
	my $number = engine_log();
	open my $file, '>', "$dir/release-$number" or die "Can't release: $!\n";
}

# Answers one request after the other, each in a process of its own: at once, or when it is released,
# whether or not anybody is there.
sub engine {
	my ($port, $dir) = @_;
	my $server = IO::Socket::INET->new(
		Proto => 'tcp', LocalAddr => "127.0.0.1:$port", Listen => 50, ReuseAddr => 1)
		or die "Can't create listening socket: $!\n";
	local $SIG{PIPE} = 'IGNORE';
	local $SIG{CHLD} = 'IGNORE';
	my $number = 0;
	while (my $client = $server->accept()) {
		my $head = '';
		while (<$client>) {
			last if /^\x0d?\x0a?$/;
			$head .= $_;
		}
		next unless $head =~ /^Content-Length: (\d+)/mi;
		read($client, my $body, $1);
		$number++;
		open my $asked, '>>', "$dir/asked" or die;
		print $asked "$number\n";
		close $asked;
		next if fork;
		if ($body =~ /"hold"/) {
			select undef, undef, undef, 0.02 until -e "$dir/release-$number";
		}
		my $text = $body =~ /"huge"/ ? 'word ' x 4_000_000 : $body =~ /"large"/ ? 'word ' x 400_000 : 'word';
		my $answer = '{"choices":[{"finish_reason":"stop","index":0,"message":{"role":"assistant","content":"'
			. $text . '"}}],"object":"chat.completion","model":"m",'
			. '"usage":{"completion_tokens":100,"prompt_tokens":7,"total_tokens":107}}';
		print $client "HTTP/1.1 200 OK\x0d\x0aContent-Type: application/json\x0d\x0aConnection: close\x0d\x0a"
			. 'Content-Length: ' . length($answer) . "\x0d\x0a\x0d\x0a$answer";
		close $client;
		POSIX::_exit(0);
	}
}

###############################################################################
