#!/usr/bin/perl

# nginx-conf/multi-model.conf: requests go by their model; when the first engine fails, the second one gets
# all of the request, with what was changed in it, and the client is charged once.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header json keys_file status/;
use Tollgate::Client;
use Tollgate::Engine;
use Tollgate::Metered;

use IO::Socket::INET;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy map rewrite upstream_keepalive/)->plan(159);

open my $file, '<', "$FindBin::Bin/../nginx-conf/multi-model.conf" or die "Can't open multi-model.conf: $!\n";
my $conf = do { local $/; <$file> };
my $d = $t->testdir();
for ($conf) {
	s/^(load_module|user|pid|error_log|worker_rlimit_nofile) .*\n//mg;
	s/^(http \{\n)/$1    %%TEST_GLOBALS_HTTP%%\n/m or die "no http block\n";
	s/^ *access_log +off;.*\n//m;
	s/^ *ssl_.*\n//mg;
	s/^ *listen \[::\].*\n//mg;
	s/listen 443 ssl http2;/listen 127.0.0.1:8080;/ or die "no port\n";
	# Written at once.
	s/ buffer=64k flush=1s//;
	s{(/etc/nginx/tollgate|/var/log/nginx)/tollgate-}{$d/}g;
	s{/etc/nginx/tollgate/}{$d/}g;
	s{ state=/var/lib/tollgate/state}{};
	# A tier of which nothing is refilled, and estimates that learn nothing.
	s/^(    tollgate_tier free)/    tollgate_tier few { tokens 1000\/d; requests 3r\/d; concurrency 1; }\n$1/m or die "no tier\n";
	s/^(    tollgate_zone .*\n)/$1    tollgate_estimate bytes_per_token=4;\n/m or die "no zone\n";
	# So that each test finds the first server asked.
	s/max_fails=1 fail_timeout=10s/max_fails=0/g;
	s/client_body_buffer_size 256k/client_body_buffer_size 4k/;
	# Engines that answer with an error.
	my $errors = join '', map { "    server { listen 127.0.0.1:" . (8400 + $_->[1]) . "; return $_->[0]; }\n" }
		[502, 2], [503, 3], [429, 29];
	s/^}\s*\z/$errors}\n/m;
}
$conf = "%%TEST_GLOBALS%%\ndaemon off;\n$conf";

# The engines: 8081 and 8082 the small model, 8083 and 8084 the large one, 8085 the coder, 8086 the spare.
# Nothing listens at 8090, and who connects to 8091 is hung up on.
my %engines = ('10.0.0.11:8000' => 8081, '10.0.0.12:8000' => 8082, '10.0.0.12:8001' => 8083, '10.0.0.11:8001' => 8084,
	'10.0.0.11:8002' => 8085, '10.0.0.13:8000' => 8086);

$t->write_file('keys.json', keys_file(
	{ key => 'key-acme', client => 'acme', tier => 'pro' },
	map { { key => "key-$_", client => $_, tier => 'few' } } qw/first second spare/));
start_engine($t, $_, '--engine', 'vllm') for 8081 .. 8086;
my $hangs_up = port(8091);
$t->run_daemon(sub { hang_up($hangs_up) });
$t->waitforsocket("127.0.0.1:$hangs_up") or die "Nobody hangs up\n";
configure($t);
$t->run();

my $chat = '/v1/chat/completions';
my @messages = (messages => [{ role => 'user', content => 'one two three four' }]);

###############################################################################

# by the model

for (
	['llama-3.1-8b', 8081], ['llama-3.1-70b', 8083], ['qwen2.5-coder-7b', 8085], ['chat-default', 8081, 'llama-3.1-8b'],
	['chat-large', 8083, 'llama-3.1-70b'],
) {
	my ($model, $port, $real) = @$_;
	my ($r, $line, $id) = asked($t, { model => $model });
	is(status($r), 200, "$model: answered");
	is(content_json($r)->{model}, $model, "$model: by that name");
	is(model_at($port, $id), $real // $model, "$model: by its engine");
	is($line->{upstream}, '127.0.0.1:' . port($port), "$model: the log");
	is($line->{tried}, undef, "$model: the first one");
}

# a second engine when the first one fails

for (
	['refuses connections', 8090, '502'], ['hangs up', 8091, '502'], ['answers 502', 8402, '502'],
	['answers 503', 8403, '503'], ['answers 429', 8429, '429'],
) {
	my ($what, $port, $status) = @$_;
	configure($t, '10.0.0.11:8000' => $port);
	reload_and_wait($t);
	for my $stream (0, 1) {
		my $name = "the first $what" . ($stream ? ', a stream' : '');
		# Longer than its buffer: from a file.
		my $long = join ' ', ('word') x ($stream ? 3 : 3000);
		my %body = (model => 'chat-default', messages => [{ role => 'user', content => $long }], max_tokens => 50,
			$stream ? (stream => \1) : ());
		my ($r, $line, $id, $count) = asked($t, \%body, 'X-Mock-Tokens: 7');
		is(status($r), 200, "$name: answered");
		# Without its chunks, which may end anywhere.
		$r = http_content($r);
		my $names = join ' ', sort { $a cmp $b } keys %{{ map { $_ => 1 } $r =~ /"model": ?"([^"]*)"/g }};
		is($names, 'chat-default', "$name: the client sees the alias");
		unlike($r, qr/"usage"/, "$name: and no usage that it hasn't asked for") if $stream;
		my $body = JSON::PP->new->utf8->decode(engine_body(8082, $id));
		is("$body->{model} $body->{messages}[0]{content}", "llama-3.1-8b $long", "$name: the second gets all of it");
		ok($body->{stream_options}{include_usage}, "$name: and is asked for usage") if $stream;
		is($count, 1, "$name: one line");
		is("$line->{usage} $line->{output_tokens}", 'measured 7', "$name: measured");
		is("$line->{tried}, $line->{upstream} $line->{upstream_status}",
			'127.0.0.1:' . port($port) . " $status, 127.0.0.1:" . port(8082) . ' 200', "$name: the log has both");
		is(nanos($line), 150 * $line->{input_tokens} + 200 * 7, "$name: charged once");
	}
}

# an answer that has begun is the answer

configure($t);
reload_and_wait($t);
{
	my $id = new_id();
	my $r = http(post($chat, { model => 'chat-default', stream => \1, @messages }, 'X-API-Key: key-acme',
		'X-Mock-Tokens: 9', 'X-Mock-Cut-After: 3', "X-Request-ID: $id", 'Connection: close'));
	my ($line, @more) = audited($t, $id);
	my $count = 1 + @more;
	my $deltas = () = $r =~ /"content": ?"[^"]/g;
	is("$deltas $count", '3 1', 'dies in the middle: its client has what came, and no more');
	is(engine_body(8082, $id), undef, 'dies in the middle: nobody else is asked');
	is("$line->{usage} $line->{output_tokens}", 'partial 3', 'dies in the middle: charged as far as it came');
	is($line->{tried}, undef, 'dies in the middle: one engine');
}

# both fail

configure($t, '10.0.0.11:8000' => 8090, '10.0.0.12:8000' => 8403, '10.0.0.11:8002' => 8090, '10.0.0.12:8001' => 8090,
	'10.0.0.11:8001' => 8090);
reload_and_wait($t);
for my $model (qw/chat-default llama-3.1-8b qwen2.5-coder-7b/) {
	for my $stream (0, 1) {
		my $name = "the spare for $model" . ($stream ? ', a stream' : '');
		my ($r, $line, $id, $count) = asked($t, { model => $model, $stream ? (stream => \1) : () }, 'X-Mock-Tokens: 7');
		is(status($r), 200, "$name: answered");
		unlike($r, qr/-spare|"usage": ?\{"completion_tokens": ?7.*"usage"/s, "$name: by the name that was asked for");
		is(model_at(8086, $id), 'llama-3.1-8b-spare', "$name: asked by its own");
		is("$count $line->{model} $line->{alias} $line->{usage}", "1 llama-3.1-8b-spare $model measured",
			"$name: one line");
		is(nanos($line), 150 * $line->{input_tokens} + 200 * 7, "$name: charged once, as what answered");
		my @tried = split /, /, $line->{tried};
		is(scalar @tried, $model =~ /qwen/ ? 1 : 2, "$name: the log has all");
	}
}
{
	my (undef, undef, $id) = asked($t, { model => 'llama-3.1-70b' });
	is(model_at(8086, $id), 'llama-3.1-70b', 'a model that has no spare is asked for by its name');
	my ($r) = asked($t, { model => 'chat-large' }, 'X-Mock-Models: llama-3.1-8b-spare');
	is(status($r), 404, 'and an alias that has none is no model there');
}

# the limits: what one request takes, whichever way it goes

for (
	['the first one', 'first', 8081, 8082],
	['the second one', 'second', 8402, 8082],
	['the spare', 'spare', 8090, 8403],
) {
	my ($name, $client, @ports) = @$_;
	configure($t, '10.0.0.11:8000' => $ports[0], '10.0.0.12:8000' => $ports[1]);
	reload_and_wait($t);
	for my $used (0, 11) {
		# 22 bytes, the message and the request: 14 of the input, and its bound.
		my ($r) = asked($t, { model => 'chat-default', max_tokens => 100 }, 'X-Mock-Tokens: 7', "X-API-Key: key-$client");
		is(header($r, 'x-ratelimit-remaining-tokens'), 1000 - $used - 114,
			"$name: " . ($used ? 'took its tokens once' : 'reserves once'));
	}
	# 2 requests of 3 have gone.
	my ($r) = asked($t, { model => 'chat-default', max_tokens => 1 }, "X-API-Key: key-$client");
	is(header($r, 'x-ratelimit-remaining-requests'), 0, "$name: each is one request");
	($r) = asked($t, { model => 'chat-default', max_tokens => 1 }, "X-API-Key: key-$client");
	is(status($r), 429, "$name: and the fourth is one too many");
}

###############################################################################

# Puts engines in the places of those of the configuration.
sub configure {
	my ($t, %other) = @_;
	my %at = (%engines, %other);
	(my $text = $conf) =~ s/(10\.0\.0\.1[123]:800\d)/'127.0.0.1:' . ($at{$1} or die $1)/ge;
	# Harness and configuration have the same numbers of ports.
	$t->write_file_expand('nginx.conf', $text);
}

# The response, its line of the log, its id, and how many lines there are.
sub asked {
	my ($t, $body, @lines) = @_;
	my $id = new_id();
	my @key = grep({ /^X-API-Key/ } @lines) ? () : ('X-API-Key: key-acme');
	my $r = ask(post($chat, { @messages, %$body }, @key, "X-Request-ID: $id", @lines));
	my @found = audited($t, $id);
	return ($r, $found[-1], $id, scalar @found);
}

sub model_at {
	my ($port, $id) = @_;
	my $body = engine_body($port, $id) or return 'nobody';
	return JSON::PP->new->utf8->decode($body)->{model};
}

sub nanos {
	my ($line) = @_;
	return sprintf '%.0f', ($line->{cost} // 0) * 1_000_000_000;
}

# An engine that dies of each request.
sub hang_up {
	my ($port) = @_;
	my $server = IO::Socket::INET->new(Proto => 'tcp', LocalAddr => "127.0.0.1:$port", Listen => 128, ReuseAddr => 1)
		or die "Can't create listening socket: $!\n";
	while (my $client = $server->accept()) {
		sysread $client, my $buffer, 65536;
		close $client;
	}
}

###############################################################################
