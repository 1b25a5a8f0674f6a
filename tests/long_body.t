#!/usr/bin/perl

# A long body is read in several turns of the event loop: what it asks for is known all the same, wherever its
# bytes lie, and other requests of the worker don't wait until all of it is read.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/json keys_file status/;
use Tollgate::Client;
use Tollgate::Engine;
use Tollgate::Metered;

use Socket qw/IPPROTO_TCP TCP_NODELAY/;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http http_v2 proxy/)->has_daemon('curl')->plan(40);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone       zone=tollgate:1m;
    tollgate_tier       open { tokens 100m/h; concurrency 1; }
    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;
    tollgate_max_body   16m;

    client_max_body_size  16m;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        tollgate on;

        location /memory/ {
            client_body_buffer_size  16m;
            proxy_pass               http://127.0.0.1:8081/;
        }

        location /file/ {
            client_body_buffer_size  1k;
            proxy_pass               http://127.0.0.1:8081/;
        }

        location /fine {
            tollgate off;
            add_header  X-Fine  yes;
            return      204;
        }
    }
}

EOC

$t->write_file('keys.json', keys_file({ key => 'key', client => 'acme', tier => 'open' }));
start_engine($t, 8081);
$t->run();

###############################################################################

my $key = 'X-API-Key: key';
my $text = join ' ', map { "line $_: \"quoted\", \\ and \x{e9}\n" } 1 .. 20_000;

# What decides stands at the end.
my $body = '{"messages":[' . json({ role => 'user', content => $text }) . '],"max_tokens":3,"stream":true,"model":"last"}';
cmp_ok(length $body, '>', 512 << 10, 'a long body');

for my $where (qw/memory file/) {
	my $uri = "/$where/v1/chat/completions";
	for my $how (qw/length chunks h2/) {
		my $send = sub {
			my ($body) = @_;
			my $id = new_id();
			my @lines = ($key, "X-Request-ID: $id");
			my $response = $how eq 'h2' ? h2($t, $uri, $body, @lines)
				: ask($how eq 'chunks' ? chunked($uri, $body, 30_000, @lines) : post($uri, $body, @lines));
			my ($line) = audited($t, $id);
			return (status($response), $line, $id);
		};
		my ($status, $line, $id) = $send->($body);
		is($status, 200, "$where, $how: let in");
		is($line->{model}, 'last', "$where, $how: the model at its end");
		is($line->{usage}, 'measured', "$where, $how: its usage");
		ok(engine_body(8081, $id) eq '{"stream_options":{"include_usage":true},' . substr($body, 1),
			"$where, $how: the engine has all of it, and is asked for usage");
		($status, $line) = $send->("$body}");
		is($status, 400, "$where, $how, a byte too many: refused");
		is($line->{reason}, 'malformed_request', "$where, $how, a byte too many: because of that");
	}
}

# Whoever comes while it is read is served before it has been read. The last byte is sent before the other
# request is. With bad luck all of it is read in between, so that it may take more than one attempt.

my $long = '{"a":[' . join(',', ('[]') x (2 << 20)) . '],';
my $good = '"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":1}';
my $request = post('/memory/v1/chat/completions', "$long!", $key);
my $overtaken = 0;
for (1 .. 20) {
	my ($slow, $fast) = (connection(), connection());
	# Or the last byte waits for what is before it to be acknowledged.
	setsockopt $slow->{socket}, IPPROTO_TCP, TCP_NODELAY, 1 or die "Can't set an option: $!\n";
	status($fast->ask(request('/fine'), head => 1)) == 204 or die "No answer\n";
	$slow->send(substr $request, 0, -1);
	# By then nginx has the rest.
	status($fast->ask(request('/fine'), head => 1)) == 204 or die "No answer\n" for 1 .. 5;
	$slow->send('!');
	$fast->send(request('/fine'));
	$fast->answer(head => 1);
	$overtaken = !$slow->has_answer();
	status($slow->answer()) == 400 or die "The long one is not refused\n";
	last if $overtaken;
}
ok($overtaken, 'others are served while a long body is read');

# Two at once are read in turns, and each is what it is.

my @both = map { connection() } 1, 2;
$both[$_]->send(post('/memory/v1/chat/completions', $long . ('!', $good)[$_], $key)) for 0, 1;
is(join(' ', map { status($_->answer()) } @both), '400 200', 'two at once');

# Clients that leave meanwhile leave nothing behind: there is one place in flight.

for (1 .. 5) {
	my $connection = connection();
	$connection->send(post('/memory/v1/chat/completions', $long . $good, $key));
	$connection->close();
}
ok((poll { status(ask(post('/memory/v1/chat/completions', "{$good", $key))) == 200 }),
	'clients that left: the next one is let in');

###############################################################################
