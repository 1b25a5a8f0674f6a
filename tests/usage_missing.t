#!/usr/bin/perl

# Where the client would not be told what its request took, or the engine doesn't tell, or there is
# no answer to be charged: errors, HEAD, a dead engine.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header json keys_file status/;
use Tollgate::Client;
use Tollgate::Engine qw/needs_engine start_engine/;
use Tollgate::Metered;

use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy rewrite gzip http_v2/)->has_daemon('curl')->plan(116);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    # Nothing is refilled while the test runs.
    tollgate_tier  large { tokens 30/d burst=10k; }

    # So that nothing is learned of the input.
    tollgate_estimate   bytes_per_token=4;
    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    upstream failing_first {
        server 127.0.0.1:8084 max_fails=0;
        server 127.0.0.1:8081 backup;
    }

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

        location /off/ {
            tollgate_include_usage  off;
            proxy_pass              http://127.0.0.1:8081/;
        }

        location /gzip/ {
            gzip             on;
            gzip_min_length  1;
            gzip_types       application/json text/event-stream;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /dead/ {
            proxy_pass http://127.0.0.1:8083/;
        }

        location /slow/ {
            proxy_read_timeout  100ms;
            proxy_pass          http://127.0.0.1:8081/;
        }

        location /failing-first/ {
            proxy_next_upstream  error timeout http_500 non_idempotent;
            proxy_pass           http://failing_first/;
        }

        location /fallback/ {
            proxy_intercept_errors  on;
            error_page              500 502 = @engine;
            proxy_pass              http://127.0.0.1:8084/;
        }

        location /dead-fallback/ {
            error_page  502 = @engine;
            proxy_pass  http://127.0.0.1:8083/;
        }

        location @engine {
            rewrite     ^/[a-z-]+(/v1.*) $1 break;
            proxy_pass  http://127.0.0.1:8081;
        }

        location /status/ {
            proxy_pass http://127.0.0.1:8084/;
        }
    }

    server {
        listen       127.0.0.1:8084;
        server_name  localhost;
        default_type application/json;

        location /v1 {
            return 500 '{"error":{}}';
        }

        location /204/ {
            return 204;
        }

        location /304/ {
            return 304;
        }

        location /text/ {
            default_type text/plain;
            return 200 hello;
        }

        location /garbage/ {
            return 200 hello;
        }

        location /error/ {
            return 200 '{"error":{"message":"no"}}';
        }
    }
}

EOC

my @clients = qw/hidden asked silent gzip free once/;
$t->write_file('keys.json', keys_file(
	map { { key => "key-$_", client => $_, tier => 'large' } } @clients));
start_engine($t, 8081);
$t->run();

my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my $chat = '/v1/chat/completions';
my %chat = (model => 'm', messages => [ { role => 'user', content => 'one two three' } ]);
my %stream = (%chat, stream => $true);
my $usage = { include_usage => $true };
my @mock = ('X-Mock-Tokens: 5');

###############################################################################

# The chunk with the usage is for us; who asked for it himself, gets it.

my %completion = (model => 'm', prompt => 'one two three', stream => $true);
for my $place ('', '/unbuffered') {
	for (
		['chat', $chat, \%stream],
		['chat, other options', $chat, { %stream, stream_options => { a => 1 } }],
		['chat, two choices', $chat, { %stream, n => 2 }],
		['completions', '/v1/completions', \%completion],
	) {
		my ($name, $uri, $body) = @$_;
		for my $lines (
			[], ['X-Mock-Line-End: crlf', 'X-Mock-Bom: 1', 'X-Mock-Comments: 1'],
			['X-Mock-Line-End: cr', 'X-Mock-Split: 1'], ['X-Mock-Split: 3'],
			['X-Mock-Usage: twice'], ['X-Mock-Usage-Null: 0']
		) {
			my $how = join ', ', map { s/X-Mock-//r } @$lines;
			my ($r, $line) = ask_for($t, "$place$uri", $body, 'X-API-Key: key-hidden', @mock, @$lines);
			is(shown($r) . " $line->{usage}", 'all but usage measured',
				"hidden: $place $name $how");
		}
		my ($r, $line) = ask_for($t, "$place$uri",
			{ %$body, stream_options => { %{$body->{stream_options} // {}}, %$usage } },
			'X-API-Key: key-asked', @mock);
		is(shown($r) . " $line->{usage}", 'all and usage measured', "asked for: $place $name");
	}
}
is(charged('hidden'), total($t, 'hidden'), 'hidden: charged');

# All other bytes are as the engine sent them, but for the "usage":null that comes of it, too.
for my $lines ([], ['X-Mock-Line-End: crlf', 'X-Mock-Comments: 1', 'X-Mock-Split: 2']) {
	my $r = ask(post($chat, \%stream, 'X-API-Key: key-hidden', @mock, @$lines));
	my $direct = ask(post($chat, { %stream, stream_options => $usage }, @mock, @$lines), port => 8081);
	my @bodies = map { http_content($_) =~ s/mock-\d+|"created":\d+//gr } $r, $direct;
	is(scalar($bodies[1] =~ s/data: \{"choices":\[\],.*\r?\n\r?\n//), 1, 'there is such a chunk');
	$bodies[1] =~ s/,"usage":null//g;
	is(without_comments($bodies[0]), without_comments($bodies[1]), 'hidden: nothing else is missing');
}

# Over HTTP/2, too.
my $id = new_id();
my $r = h2($t, $chat, \%stream, @mock, 'X-API-Key: key-hidden', "X-Request-ID: $id");
is(shown($r) . ' ' . (audited($t, $id))[0]{usage}, 'all but usage measured', 'hidden: HTTP/2');

###############################################################################

# The engine doesn't say it: what came is counted, and the input estimated (four bytes a token, and
# a few for each message).

for (
	['chat', $chat, \%chat, 'answer'],
	['stream', $chat, \%stream, 5],
	['declined', $chat, { %stream, stream_options => { include_usage => $false } }, 5],
	['not asked for', "/off$chat", \%stream, 5],
	['messages', '/v1/messages', { %stream, max_tokens => 10 }, 5],
	['responses', '/v1/responses', { model => 'm', input => 'one two three', stream => $true }, 5],
) {
	my ($name, $uri, $body, $output) = @$_;
	my @none = $name =~ /declined|not asked/ ? () : ('X-Mock-Usage: none');
	my ($r, $line) = ask_for($t, $uri, $body, 'X-API-Key: key-silent', @mock, @none);
	if ($output eq 'answer') {
		my $content = content_json($r)->{choices}[0]{message}{content};
		$output = int((length($content) + 3) / 4);
	}
	is("$line->{usage} $line->{output_tokens}", "estimated $output", "not said: $name");
	cmp_ok($line->{input_tokens}, '>=', 3, "not said: $name, the input");
}
is(charged('silent'), total($t, 'silent'), 'not said: charged as logged');

# Nor is it an answer that we understand: then what was reserved is charged, as far as it is one.

for (
	['another type', '/status/text/v1/completions', 'estimated 50'],
	['no JSON', '/status/garbage/v1/completions', 'estimated 50'],
) {
	my ($name, $uri, $expected) = @$_;
	my ($r, $line) = ask_for($t, $uri, { %chat, max_tokens => 50 }, 'X-API-Key: key-silent');
	is("$line->{usage} $line->{output_tokens}", $expected, "not understood: $name");
	is(http_content($r), 'hello', "not understood: $name, untouched");
}
is(charged('silent'), total($t, 'silent'), 'not understood: charged as logged');

###############################################################################

# Compression. The engine isn't told that the client would understand it; nginx compresses itself.

$id = new_id();
$r = ask(post('/gzip/echo/v1/embeddings', { model => 'm', input => 'x' }, 'X-API-Key: key-gzip',
	'Accept-Encoding: gzip, br'));
my $echo = JSON::PP->new->utf8->decode(plain($r) // '{}');
is(join(' ', map { $_->[1] } grep { lc $_->[0] eq 'accept-encoding' } @{$echo->{headers}}), 'identity',
	'the engine is asked not to compress');
is(header($r, 'Content-Encoding'), 'gzip', 'nginx compresses itself');
$r = ask(request('/gzip/echo/health', 'X-API-Key: key-gzip', 'Accept-Encoding: gzip, br'));
like(plain($r), qr/"gzip, br"/, 'where nothing is metered, the engine may');

for my $body (\%chat, \%stream) {
	my $what = $body->{stream} ? 'stream' : 'answer';
	($r, my $line) = ask_for($t, "/gzip$chat", $body, 'X-API-Key: key-gzip', @mock,
		'Accept-Encoding: gzip', 'X-Mock-Encoding: auto');
	is("$line->{usage} $line->{output_tokens}", 'measured 5', "compressed by nginx: $what");
	like(plain($r), qr/"choices"/, "compressed by nginx: $what, whole");

	($r, $line) = ask_for($t, $chat, { %$body, max_tokens => 50 }, 'X-API-Key: key-gzip', @mock,
		'X-Mock-Encoding: always');
	is("$line->{usage} $line->{output_tokens}", 'estimated 50', "compressed by the engine: $what");
	is(header($r, 'Content-Encoding'), 'gzip', "compressed by the engine: $what, said");
	like(plain($r), qr/"choices"/, "compressed by the engine: $what, untouched");
}
is(charged('gzip'), total($t, 'gzip'), 'compressed: charged as logged');

###############################################################################

# No answer, no charge.

for (
	['an error of the engine', post($chat, \%chat, 'X-Mock-Status: 500'), 500],
	['a refusal of the engine', post($chat, \%stream, 'X-Mock-Status: 400'), 400],
	['a busy engine', post('/v1/messages', { %chat, max_tokens => 9 }, 'X-Mock-Status: 529'), 529],
	['a dead engine', post("/dead$chat", \%chat), 502],
	['a silent engine', post("/slow$chat", \%chat, 'X-Mock-Latency-Ms: 100000'), 504],
	['204', post('/status/204/v1/embeddings', \%chat), 204],
	['304', post('/status/304/v1/embeddings', \%chat), 304],
	['an error that claims success', post('/status/error/v1/completions', \%chat), 200],
	['HEAD', request('HEAD /v1/embeddings'), 405],
	['GET', request('/v1/embeddings'), 405],
) {
	my ($name, $request, $status) = @$_;
	my $id = new_id();
	$request =~ s/\r\n/\r\nX-API-Key: key-free\r\nX-Request-ID: $id\r\n/;
	my $r = ask($request, head => $name eq 'HEAD');
	my ($line) = audited($t, $id);
	is(join(' ', status($r), map { $line->{$_} // '-' } qw/usage output_tokens/), "$status "
		. ($name =~ /HEAD|GET/ ? '- -' : 'none -'), "free: $name");
}
is(charged('free'), 0, 'free: nothing charged');
my ($answer, $line) = ask_for($t, $chat, \%chat, 'X-API-Key: key-free', @mock);
is(charged('free'), 8, 'an answer is not');

# A second server, or another location, answers instead: charged once.

for my $place (qw!/failing-first /fallback /dead-fallback!) {
	for my $body (\%chat, \%stream) {
		my $id = new_id();
		my $r = ask(post("$place$chat", $body, @mock, 'X-API-Key: key-once', "X-Request-ID: $id"));
		my @lines = audited($t, $id);
		is(join(' ', status($r), scalar @lines, map { $lines[0]{$_} }
			qw/usage input_tokens output_tokens/), '200 1 measured 3 5', "once: $place");
		is(shown($r), 'all but usage', "once: $place, hidden") if $body->{stream};
	}
}
is(charged('once'), 6 * 8, 'once: charged');

###############################################################################

# Which parts of a stream there are.
sub shown {
	my ($response) = @_;
	my $content = http_content($response) // '';
	my $text = () = $content =~ /"(?:content|text)":"[^"]/g;
	my $end = $content =~ /"finish_reason":"(?:stop|length)".*data: \[DONE\]/s;
	# On another chunk it is the engine's own idea.
	my $usage = $content =~ /"choices":\[\]/;
	return ($text >= 5 && $end ? 'all' : "$text deltas") . ($usage ? ' and usage' : ' but usage');
}

# How many comments go out before which event doesn't matter.
sub without_comments {
	my ($stream) = @_;
	return $stream =~ s/^:.*\r?\n(?:\r?\n)?//mgr;
}

# A compressed body.
sub plain {
	my ($response) = @_;
	my $content = http_content($response) // return undef;
	require IO::Uncompress::Gunzip;
	my $plain;
	IO::Uncompress::Gunzip::gunzip(\$content => \$plain);
	return $plain;
}

# All that the requests of a client took.
sub total {
	my ($t, $client) = @_;
	my $total = 0;
	$total += $_->{input_tokens} + $_->{output_tokens}
		for grep { $_->{client} eq $client && defined $_->{usage} && $_->{usage} ne 'none' }
		audit_lines($t, 'audit.log');
	return $total;
}

# What is gone from a client's tokens. This reserves 14, which it gets back: the engine refuses it.
sub charged {
	my ($client) = @_;
	my $r = ask(post('/v1/completions', { model => 'm', prompt => [1 .. 4], max_tokens => 6 },
		"X-API-Key: key-$client", 'X-Mock-Status: 400'));
	return 10_000 - 14 - header($r, 'x-ratelimit-remaining-tokens');
}

###############################################################################
