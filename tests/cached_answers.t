#!/usr/bin/perl

# Answers out of nginx's cache: they are what the engine's was, to their end, and cost nothing, or with
# tollgate_cached_answers charged what the engine's did.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header keys_file status/;
use Tollgate::Client;
use Tollgate::Conf;
use Tollgate::Metered;

use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http http_v2 proxy cache/)->has_daemon('curl')->plan(112);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone   zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    # Nothing is refilled while the test runs.
    tollgate_tier   large { tokens 300/d burst=100k; budget 1000/month; concurrency 1; }
    tollgate_price  m input=1 output=2;

    # So that nothing is learned of the input.
    tollgate_estimate   bytes_per_token=4;
    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    proxy_cache_path  %%TESTDIR%%/cache keys_zone=cache:1m;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        tollgate on;
        proxy_http_version     1.1;
        proxy_cache            cache;
        proxy_cache_methods    POST;
        proxy_cache_key        "$http_x_key";
        proxy_cache_valid      200 1h;
        add_header             X-Cache $upstream_cache_status;

        location /free/ {
            proxy_pass http://127.0.0.1:8081/;
        }

        location /charged/ {
            tollgate_cached_answers  charged;
            proxy_pass               http://127.0.0.1:8081/;
        }

        location /unbuffered/ {
            proxy_buffering  off;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /unbuffered/charged/ {
            tollgate_cached_answers  charged;
            proxy_buffering          off;
            proxy_pass               http://127.0.0.1:8081/;
        }

        location /short/ {
            proxy_cache_valid              200 1s;
            proxy_cache_use_stale          error http_500;
            proxy_cache_revalidate         on;
            proxy_cache_bypass             $http_x_bypass;
            proxy_pass                     http://127.0.0.1:8081/;

            location /short/charged/ {
                tollgate_cached_answers  charged;
                proxy_pass               http://127.0.0.1:8081/;
            }
        }

        # An engine that goes on without its client, renewed in the background.
        location /background/ {
            tollgate_engine                llamacpp;
            proxy_cache_valid              200 1s;
            proxy_cache_use_stale          updating;
            proxy_cache_background_update  on;
            proxy_pass                     http://127.0.0.1:8081/;
        }

        # What is kept is an error, and leads to an engine.
        location /led/ {
            proxy_cache_valid       404 1h;
            proxy_intercept_errors  on;
            error_page              404 = @engine;
            proxy_pass              http://127.0.0.1:8081/;
        }

        location @engine {
            proxy_cache    off;
            proxy_method   POST;
            proxy_set_header  X-Status "";
            proxy_pass     http://127.0.0.1:8081;
        }
    }
}

EOC

my @clients = qw/forms short background led h2/;
$t->write_file('keys.json', keys_file(map { { key => "key-$_", client => $_, tier => 'large' } } @clients));
$t->run_daemon(\&engine, port(8081), $t->testdir());
$t->run();
$t->waitforsocket('127.0.0.1:' . port(8081));

my $dir = $t->testdir();
my @message = (model => 'm', messages => [ { role => 'user', content => 'one two three' } ]);
my $usage = '"usage":{"prompt_tokens":5,"completion_tokens":7}';
my $delta = qq(data: {"choices":[{"index":0,"delta":{"content":"word"}}]}\n\n);
my $last = qq(data: {"choices":[],$usage}\n\n);
my $done = "data: [DONE]\n\n";

# What the engine sends, what the client gets, and what that costs. The ends of some are undecided: what is
# held back comes with the last buffer, and not behind it.
my @forms = (
	['whole', "$delta$last$done", "$delta$done", 'measured 5 7'],
	['no end', "$delta$last", $delta, 'measured 5 7'],
	['no blank line', "${delta}data: {\"choices\":[],$usage}\n", $delta, 'measured 5 7'],
	['no line feed', "${delta}data: {\"choices\":[],$usage}", $delta, 'measured 5 7'],
	['a torn event', "$delta$last" . 'data: {"choices":[', "${delta}data: {\"choices\":[", 'measured 5 7'],
	['an empty event', "$delta${last}data: ", "${delta}data: ", 'measured 5 7'],
	['a part of a name', "$delta${last}da", "${delta}da", 'measured 5 7'],
	['a comment', "$delta$last: end", "$delta: end", 'measured 5 7'],
	['carriage return', "$delta$last\r", "$delta\r", 'measured 5 7'],
	['a document', qq({"choices":[{"index":0,"message":{"content":"word"}}],$usage}),
		qq({"choices":[{"index":0,"message":{"content":"word"}}],$usage}), 'measured 5 7'],
);

###############################################################################

my $number = 0;
for my $form (@forms) {
	my ($name, $sent, $shown, $taken) = @$form;
	for my $framing (qw/length chunked close/) {
		$number++;
		# The first one asks the engine; the others are from the cache.
		my @seen;
		for my $case (['/free', $taken], ['/free', 'none'], ['/charged', $taken], ['/unbuffered', 'none'],
			['/unbuffered/charged', $taken]) {
			my ($place, $expected) = @$case;
			my ($r, $line) = asked($t, 'forms', "$place/v1/chat/completions", $number, $sent, "X-Framing: $framing");
			my $what = "$place: " . taken($line);
			$what .= ', other bytes' if content($r) ne $shown;
			$what .= ', no end' if $r =~ /^Transfer-Encoding: chunked/mi && $r !~ /(?:^|\r\n)0\r\n\r\n\z/;
			push @seen, $what;
			push @seen, 'from ' . header($r, 'X-Cache') if (header($r, 'X-Cache') eq 'MISS') != (@seen == 1);
		}
		is(join('; ', @seen), "/free: $taken; /free: none; /charged: $taken; /unbuffered: none; "
			. "/unbuffered/charged: $taken", "$name, $framing");
		# HTTP/2
		my $id = new_id();
		$t->write_file('answer', $sent);
		my $r = h2($t, '/charged/v1/chat/completions', body(), 'X-API-Key: key-h2', "X-Request-ID: $id",
			"X-Key: $number");
		is(http_content($r) . ' ' . taken((audited($t, $id))[0]), "$shown $taken", "$name, $framing, HTTP/2");
		is(header($r, 'X-Cache'), 'HIT', "$name, $framing, HTTP/2: from the cache");
	}
}
is(charged('forms'), total($t, 'forms'), 'charged what was logged');

###############################################################################

# What nginx says of its cache, and what that costs.

my $sent = $forms[0][1];
for my $place ('/short', '/short/charged') {
	my $uri = "$place/v1/chat/completions";
	my $kept = $place =~ /charged/ ? 'measured 5 7' : 'none';
	my $key = "status-$place";
	my $case = sub {
		my ($expected, $status, @lines) = @_;
		my ($line, $r);
		# It may take a moment until what is kept is too old.
		poll {
			($r, $line) = asked($t, 'short', $uri, $key, $sent, 'X-Framing: length', @lines);
			header($r, 'X-Cache') eq $status;
		};
		is(header($r, 'X-Cache') . ' ' . taken($line), "$status $expected", "$place: $status");
	};
	$case->('measured 5 7', 'MISS');
	$case->($kept, 'HIT');
	$case->('measured 5 7', 'BYPASS', 'X-Bypass: 1');
	$case->($kept, 'STALE', 'X-Status: 500');
	$case->($kept, 'REVALIDATED', 'X-Status: 304');
	$case->('measured 5 7', 'EXPIRED');
}
is(charged('short'), total($t, 'short'), 'charged what was logged, whatever its status');

# What is renewed in the background, is.

my $asked = requests();
for my $expected (qw/MISS STALE HIT/) {
	my ($r, $line);
	poll {
		($r, $line) = asked($t, 'background', '/background/v1/chat/completions', 'background',
			$forms[-1][1], 'X-Framing: length');
		header($r, 'X-Cache') eq $expected;
	};
	is(header($r, 'X-Cache') . ' ' . taken($line), $expected eq 'MISS' ? 'MISS measured 5 7' : "$expected none",
		"in the background: $expected");
	# The engine has been asked again.
	poll { requests() > $asked + 1 } if $expected eq 'STALE';
}

# An error that is kept leads to an engine: that one is charged.

for my $expected (qw/MISS HIT/) {
	my ($r, $line) = asked($t, 'led', '/led/v1/chat/completions', 'led', $forms[-1][1], 'X-Framing: length',
		'X-Status: 404');
	is(taken($line), 'measured 5 7', "led to an engine: $expected");
}
is(charged('led'), total($t, 'led'), 'led to an engine: charged what was logged');

# The directive.

check_refused($t, $_) for (
	['an unknown word', ['"yes"', '"tollgate_cached_answers"', '"free" or "charged"'],
		location => "$usual{location}\ntollgate_cached_answers yes; # !"],
	['twice', ['duplicate'],
		location => "$usual{location}\ntollgate_cached_answers free;\ntollgate_cached_answers charged; # !"],
);

###############################################################################

sub body {
	return { @message, max_tokens => 50, stream => JSON::PP::true };
}

# Response and audit line of a request that the engine answers with these bytes.
sub asked {
	my ($t, $client, $uri, $key, $sent, @lines) = @_;
	$t->write_file('answer', $sent);
	my $body = body();
	delete $body->{stream} if $sent =~ /^\{/;
	return ask_for($t, $uri, $body, "X-API-Key: key-$client", "X-Key: $key", @lines);
}

# The body of a response, chunked or not.
sub content {
	my ($r) = @_;
	return http_content($r) // '';
}

sub taken {
	my ($line) = @_;
	return join ' ', $line->{usage}, map { $_ // () } @$line{qw/input_tokens output_tokens/};
}

# All that the requests of a client took.
sub total {
	my ($t, $client) = @_;
	my $total = 0;
	$total += ($_->{input_tokens} // 0) + ($_->{output_tokens} // 0)
		for grep { $_->{client} eq $client } audit_lines($t, 'audit.log');
	return $total;
}

# What is gone from a client's tokens, but for what this reserves.
sub charged {
	my ($client) = @_;
	my $r = ask(post('/free/v1/chat/completions', { @message, max_tokens => 50 }, "X-API-Key: key-$client",
		'X-Status: 400', 'X-Key: none'));
	my $reserved = 13 + 50;
	return 100_000 - $reserved - header($r, 'x-ratelimit-remaining-tokens');
}

# How many requests the engine has got.
sub requests {
	open my $file, '<', "$dir/requests" or return 0;
	return scalar(() = <$file>);
}

# Sends what is in the file, framed as X-Framing says.
sub engine {
	my ($port, $dir) = @_;
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
		read $client, my $body, $1 if $head =~ /^Content-Length: (\d+)/mi;
		open my $count, '>>', "$dir/requests" or die;
		print $count "1\n";
		close $count;
		open my $file, '<:raw', "$dir/answer" or next;
		my $answer = do { local $/; <$file> };
		my ($framing) = $head =~ /^X-Framing: (\w+)/mi;
		my ($status) = $head =~ /^X-Status: (\d+)/mi;
		$status //= 200;
		# Only what is known can be still good.
		$status = 200 if $status == 304 && $head !~ /^If-None-Match/mi;
		my @lines = ('Connection: close', 'ETag: "1"',
			'Content-Type: ' . ($answer =~ /^\{/ ? 'application/json' : 'text/event-stream'));
		$answer = $status == 304 ? '' : '{"error":{}}' if $status != 200;
		if (($framing // '') eq 'chunked') {
			push @lines, 'Transfer-Encoding: chunked';
			$answer = join '', map { sprintf "%x\x0d\x0a%s\x0d\x0a", length, $_ } unpack('(a13)*', $answer), '';
		} elsif (($framing // '') ne 'close') {
			push @lines, 'Content-Length: ' . length $answer if $status != 304;
		}
		print $client join("\x0d\x0a", "HTTP/1.1 $status X", @lines, '', $answer);
		close $client;
	}
}

###############################################################################
