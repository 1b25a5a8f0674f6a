#!/usr/bin/perl

# What a request took is what the engine says it took: in every dialect, streamed or not, however its
# answer is cut and framed. It is charged once, and what the client gets is what the engine sent.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header keys_file status/;
use Tollgate::Client;
use Tollgate::Engine qw/needs_engine start_engine/;
use Tollgate::Metered;

use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy rewrite http_v2/)->has_daemon('curl')->plan(290);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone   zone=tollgate:1m;
    # Nothing is refilled while the test runs.
    tollgate_tier   large { tokens 30/d burst=10k; }
    tollgate_price  m input=1 cached_input=0.5 output=2;

    # So that nothing is learned of the input.
    tollgate_estimate   bytes_per_token=4;
    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    log_format  usage  '$http_x_request_id in=$tollgate_input_tokens out=$tollgate_output_tokens '
                       'usage=$tollgate_usage cost=$tollgate_cost ttft=$tollgate_ttft';

    upstream kept {
        server     127.0.0.1:8081;
        keepalive  1;
    }

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        access_log  %%TESTDIR%%/usage.log usage;

        tollgate on;
        proxy_http_version  1.1;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /unbuffered/ {
            proxy_buffering  off;
            proxy_pass       http://127.0.0.1:8081/;
        }

        # Buffers that are always full.
        location /tight/ {
            proxy_buffer_size        1k;
            proxy_buffers            2 1k;
            proxy_busy_buffers_size  1k;
            proxy_pass               http://127.0.0.1:8081/;
        }

        location /kept/ {
            proxy_set_header  Connection "";
            proxy_pass        http://kept/;
        }

        location /old/ {
            proxy_http_version  1.0;
            proxy_pass          http://127.0.0.1:8081/;
        }
    }
}

EOC

my @clients = qw/matrix framing twice variables h2 kept/;
$t->write_file('keys.json', keys_file(
	map { { key => "key-$_", client => $_, tier => 'large' } } @clients));
start_engine($t, 8081);
$t->run();

my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my @messages = (messages => [ { role => 'user', content => 'one two three' } ]);
my $usage = { stream_options => { include_usage => $true } };

# Path, body, and what the engine says with MOCK: input, output, cached and reasoning tokens. A number
# that it doesn't say is "-".
my @mock = ('X-Mock-Tokens: 20', 'X-Mock-Cached-Tokens: 2', 'X-Mock-Reasoning-Tokens: 4');
my %whole = (
	chat => ['/v1/chat/completions', { @messages }, '3 24 2 4'],
	'chat, two choices' => ['/v1/chat/completions', { @messages, n => 2 }, '3 48 2 8'],
	completions => ['/v1/completions', { prompt => 'one two three' }, '3 24 2 4'],
	'completions, two prompts' => ['/v1/completions', { prompt => ['one two', 'three'] },
		'3 48 2 8'],
	embeddings => ['/v1/embeddings', { input => 'one two three' }, '3 0 - -'],
	responses => ['/v1/responses', { input => 'one two three' }, '3 24 2 4'],
	messages => ['/v1/messages', { max_tokens => 100, @messages }, '3 24 2 -'],
	'Ollama chat' => ['/api/chat', { @messages, stream => $false }, '1 24 - -'],
	'Ollama generate' => ['/api/generate', { prompt => 'one two three', stream => $false },
		'1 24 - -'],
	'Ollama embed' => ['/api/embed', { input => 'one two three' }, '1 0 - -'],
	'TGI generate' => ['/generate', { inputs => 'one two three',
		parameters => { details => $true, decoder_input_details => $true } }, '3 24 - -'],
);
my %stream = (
	chat => ['/v1/chat/completions', { @messages, stream => $true, %$usage }, '3 24 2 4'],
	'chat, two choices' => ['/v1/chat/completions',
		{ @messages, n => 2, stream => $true, %$usage }, '3 48 2 8'],
	completions => ['/v1/completions', { prompt => 'one two three', stream => $true, %$usage },
		'3 24 2 4'],
	responses => ['/v1/responses', { input => 'one two three', stream => $true }, '3 24 2 4'],
	messages => ['/v1/messages', { max_tokens => 100, @messages, stream => $true }, '3 24 2 -'],
	'Ollama chat' => ['/api/chat', { @messages }, '1 24 - -'],
	'Ollama generate' => ['/api/generate', { prompt => 'one two three', stream => $true },
		'1 24 - -'],
	'TGI generate_stream' => ['/generate_stream', { inputs => 'one two three' }, '3 24 - -'],
	'TGI generate_stream, prefill' => ['/generate_stream', { inputs => 'one two three',
		parameters => { details => $true } }, '3 24 - -'],
);

###############################################################################

for my $place ('', qw!/unbuffered /tight /old!) {
	measured($t, 'matrix', $place, $_, $whole{$_}) for sort keys %whole;
	measured($t, 'matrix', $place, "stream: $_", $stream{$_}) for sort keys %stream;
}
is(charged('matrix'), total($t, 'matrix'), 'charged what it took');

for my $name (sort keys %stream) {
	my ($uri, $body, $expected) = @{$stream{$name}};
	my $id = new_id();
	my $r = h2($t, $uri, { model => 'm', %$body }, @mock, 'X-API-Key: key-h2', "X-Request-ID: $id");
	is(taken(audited($t, $id)), "$expected measured", "HTTP/2, stream: $name");
}
is(charged('h2'), total($t, 'h2'), 'HTTP/2: charged what it took');

# tool calls

for my $name (sort keys %stream) {
	my ($uri, $body, $expected) = @{$stream{$name}};
	my (undef, $line) = ask_for($t, $uri, { model => 'm', %$body }, 'X-API-Key: key-framing',
		@mock, 'X-Mock-Tool-Call: 1');
	is(taken($line), "$expected measured", "a tool call, stream: $name");
}

###############################################################################

# Framing: what a reader of event streams must understand.

my @events = grep { !/Ollama/ } sort keys %stream;
for my $end (qw/lf cr crlf/) {
	for my $name (@events) {
		my @odd = ("X-Mock-Line-End: $end", 'X-Mock-Bom: 1', 'X-Mock-Comments: 1');
		measured($t, 'framing', '', "$end, comments, BOM: $name", $stream{$name}, @odd);
		measured($t, 'framing', '/unbuffered', "$end, in pieces of 1: $name", $stream{$name}, @odd,
			'X-Mock-Split: 1');
	}
}
for my $size (2 .. 7) {
	for my $place ('', '/unbuffered') {
		measured($t, 'framing', $place, "$place in pieces of $size: $_", $stream{$_},
			"X-Mock-Split: $size") for sort keys %stream;
	}
}
measured($t, 'framing', '/unbuffered', "in pieces of 1: $_", $whole{$_}, 'X-Mock-Split: 1')
	for sort keys %whole;
is(charged('framing'), total($t, 'framing'), 'framing: charged what it took');

# Usage that is said more than once counts once.

for my $name (sort keys %stream) {
	for my $how (qw/twice every/) {
		measured($t, 'twice', '', "usage $how: $name", $stream{$name}, "X-Mock-Usage: $how");
	}
}
measured($t, 'twice', '', 'no null before usage', $stream{chat}, 'X-Mock-Usage-Null: 0');
is(charged('twice'), total($t, 'twice'), 'usage twice: charged once');

###############################################################################

# Several requests on one connection, and the engine's connections kept, too.

my $connection = connection();
my @ids = map { new_id() } 1 .. 6;
for my $number (0 .. $#ids) {
	my ($uri, $body) = @{($number % 2 ? \%stream : \%whole)->{chat}};
	$connection->ask(post("/kept$uri", { model => 'm', %$body }, 'X-API-Key: key-kept',
		"X-Request-ID: $ids[$number]", 'X-Mock-Tokens: ' . (10 + $number)));
}
is(join(' ', map { (audited($t, $_))[0]{output_tokens} } @ids), '10 11 12 13 14 15',
	'one after the other on a connection');
is(charged('kept'), total($t, 'kept'), 'one after the other: charged');

###############################################################################

# The same numbers for nginx's own log, and the price.

my ($r, $line) = ask_for($t, @{$stream{chat}}[0], { model => 'm', %{$stream{chat}[1]} },
	'X-API-Key: key-variables', @mock);
my ($logged) = $t->read_file('usage.log') =~ /^\Q$line->{request_id}\E (.*)$/m;
like($logged, qr/^in=3 out=24 usage=measured cost=0.00005 ttft=\d+\.\d{3}$/, 'variables');
is($line->{cost} + 0, 0.00005, 'cost in the audit log');
cmp_ok($line->{ttft_ms}, '<=', $line->{duration_ms}, 'the first token comes before the last');
is(join(' ', map { $line->{$_} } qw/engine model stream/), 'openai m 1', 'what was asked for');

($r, $line) = ask_for($t, '/v1/chat/completions', { model => 'unpriced', @messages },
	'X-API-Key: key-variables');
($logged) = $t->read_file('usage.log') =~ /^\Q$line->{request_id}\E (.*)$/m;
like($logged, qr/^in=3 out=16 usage=measured cost=- ttft=/, 'no price: no cost');
ok(!exists $line->{cost}, 'no price: no cost in the audit log');

###############################################################################

# Asks through nginx and the engine itself, and compares what they say, and what the log says with
# the engine.
sub measured {
	my ($t, $client, $place, $name, $case, @lines) = @_;
	my ($uri, $members, $expected) = @$case;
	my $body = { model => 'm', %$members };
	my ($r, $line) = ask_for($t, "$place$uri", $body, "X-API-Key: key-$client", @mock, @lines);
	my $direct = ask(post($uri, $body, @mock, @lines), port => 8081);
	$name = "$place $name" if $place && $name !~ /^$place/;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(taken($line) . ' ' . (same($r, $direct) ? 'same bytes' : 'other bytes'),
		"$expected measured same bytes", $name);
}

# Whether two responses of the engine have the same body, but for ids and times.
sub same {
	my @bodies = map {
		my $body = http_content($_);
		$body =~ s/mock-\d+/mock-N/g;
		$body =~ s/("created(?:_at)?": ?)(?:\d+|"[^"]*")/$1N/g;
		$body;
	} @_;
	return $bodies[0] eq $bodies[1] && status($_[0]) == status($_[1]);
}

# What a request took, as the log has it.
sub taken {
	my ($line) = @_;
	return join ' ', map { $line->{$_} // '-' }
		qw/input_tokens output_tokens cached_tokens reasoning_tokens usage/;
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
