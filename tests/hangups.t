#!/usr/bin/perl

# Streams that don't come to their end: the client leaves, the engine breaks off or falls silent. It
# is charged what came, at least, and what was reserved, at most; the engine is told at once; the
# slot is free; and the log has one line.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header json keys_file status/;
use Tollgate::Client;
use Tollgate::Engine qw/needs_engine start_engine stats/;
use Tollgate::Metered;

use JSON::PP qw//;
use POSIX qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy http_v2/)->has_daemon('curl')->plan(87);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;
    # Nothing is refilled while the test runs.
    tollgate_tier  one  { tokens 60/d burst=20k; concurrency 1; }
    tollgate_tier  wait { tokens 60/d burst=20k; concurrency 1 queue=1 timeout=60s; }
    tollgate_tier  open { }

    # So that nothing is learned of the input.
    tollgate_estimate   bytes_per_token=4;
    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        tollgate on;
        proxy_http_version  1.1;
        proxy_buffering     off;
        client_body_timeout 2s;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /buffered/ {
            proxy_buffering  on;
            proxy_pass       http://127.0.0.1:8081/;
        }

        location /unbuffered/ {
            proxy_request_buffering  off;
            proxy_pass               http://127.0.0.1:8081/;
        }

        location /ignoring/ {
            proxy_ignore_client_abort  on;
            proxy_pass                 http://127.0.0.1:8081/;
        }

        location /ignoring-buffered/ {
            proxy_buffering            on;
            proxy_ignore_client_abort  on;
            proxy_pass                 http://127.0.0.1:8081/;
        }

        location /impatient/ {
            proxy_read_timeout  2s;
            proxy_pass          http://127.0.0.1:8081/;
        }
    }
}

EOC

# What a client may be given, and what a hold is told to make before it holds.
use constant RESERVED => 60;

my @clients = qw/chat messages ollama buffered whole early body cut timeout h2 reload left/;
$t->write_file('keys.json', keys_file(
	(map { { key => "key-$_", client => $_, tier => 'one' } } @clients),
	{ key => 'key-wait', client => 'wait', tier => 'wait' },
	{ key => 'key-open', client => 'open', tier => 'open' },
));
start_engine($t, 8081);
$t->run();

my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my @messages = (model => 'm', messages => [ { role => 'user', content => 'one two three' } ]);
my %dialect = (
	# path, body, what each delta has
	chat => ['/v1/chat/completions', { @messages, stream => $true, max_tokens => RESERVED },
		qr/^data: .*"content":"[^"].*\n\n/m],
	messages => ['/v1/messages', { @messages, stream => $true, max_tokens => RESERVED },
		qr/^data: .*"type":"text_delta".*\n\n/m],
	ollama => ['/api/chat', { @messages, options => { num_predict => RESERVED } },
		qr/^.*"content":"[^"].*\n/m],
);

# What a client has used, as far as its audit lines say.
my %used = map { $_ => 0 } @clients, 'wait';

###############################################################################

# The client leaves when it has seen so many deltas: once the engine waits after just as many, and
# once in the middle of more.

for my $name (sort keys %dialect) {
	my $before = stats(8081);
	my (@exact, @between, @remaining, $reserved);
	for my $deltas (0 .. 39) {
		my %made = (exact => $deltas || 1, between => RESERVED);
		for my $kind ($deltas ? qw/exact between/ : 'between') {
			my $stream = stream($name, $name, '', tokens => $made{$kind},
				delay => $kind eq 'between' ? 2 : 0);
			my $seen = $stream->{connection}->peek(sub { count($name, @_) >= $deltas });
			my $delivered = count($name, $seen // '');
			$stream->{connection}->close();
			my $line = gone($t, $stream);

			$reserved //= 20_000 - $stream->{remaining};
			push @remaining, "$kind $deltas: " . ($stream->{remaining} // 'none')
				if ($stream->{remaining} // -1) != 20_000 - $reserved - $used{$name};
			$used{$name} += $line->{input_tokens} + $line->{output_tokens};

			my $output = $line->{output_tokens};
			if ($line->{usage} ne 'partial' || $line->{status} != 499 && $line->{status} != 200) {
				push @between, "$kind $deltas: $line->{usage} $line->{status}";
			} elsif ($kind eq 'exact' && $output != $deltas) {
				push @exact, "$output for $deltas";
			} elsif ($delivered < $deltas || $output < $delivered || $output > RESERVED) {
				push @between, "$output for $deltas";
			}
		}
	}
	is("@exact", '', "$name: charged by the deltas that came");
	is("@between", '', "$name: between what was seen and what was reserved");
	is("@remaining", '', "$name: the rest given back at once");
	my $after = settled($before, 79);
	is($after->{aborted} - $before->{aborted}, 79, "$name: the engine is told each time");
	is($after->{active}, 0, "$name: and stops");
	is($after->{finished} - $before->{finished}, 0, "$name: none came to its end");
}

# Buffered by nginx: what it has read is charged.

my @bad;
for my $deltas (0, 1, 10, 20, 30) {
	for my $name (sort keys %dialect) {
		my $stream = stream($name, 'buffered', '/buffered', tokens => 60, delay => 1,
			lines => ['X-Mock-Comments: 1', 'X-Mock-Split: 5']);
		$stream->{connection}->peek(sub { length $_[0] }) if $deltas;
		$stream->{connection}->close();
		my $line = gone($t, $stream);
		push @bad, "$line->{usage} $line->{output_tokens}"
			if $line->{usage} ne 'partial' || $line->{output_tokens} > RESERVED;
	}
}
is("@bad", '', 'buffered: partial, and not more than reserved');

my ($stream, $line);

###############################################################################

# Where nginx is told not to care, what the engine makes all the same is charged, too.

for my $place (qw!/ignoring /ignoring-buffered!) {
	my ($uri, $body) = @{$dialect{chat}};
	my $id = new_id();
	my $connection = connection();
	$connection->send(post("$place$uri", $body, 'X-API-Key: key-whole', "X-Request-ID: $id",
		'X-Mock-Tokens: 30', 'X-Mock-Token-Delay-Ms: 10', 'X-Mock-Latency-Ms: 200'));
	poll { stats(8081)->{active} == 1 };
	$connection->close();
	my $line = gone($t, { id => $id });
	like($line->{usage}, qr/^(?:partial|measured)$/, "$place: charged for what came");
	cmp_ok($line->{output_tokens}, '<=', 30, "$place: and for no more");
	$used{whole} += $line->{input_tokens} + $line->{output_tokens};
}

is(charged('whole'), $used{whole}, 'not caring: charged as logged');

# Before there is anything.

my $before = stats(8081);
for my $name (sort keys %dialect) {
	my ($uri, $body) = @{$dialect{$name}};
	for my $wait ('X-Mock-Latency-Ms: 600000', 'X-Mock-Hold: 1') {
		# A hold begins with an answer only where it is streamed.
		my $asked = $wait =~ /Hold/ ? { %$body, stream => $false } : $body;
		my $id = new_id();
		my $connection = connection();
		$connection->send(post($uri, $asked, 'X-API-Key: key-early', "X-Request-ID: $id", $wait));
		poll { stats(8081)->{active} == 1 } or die "The request does not come\n";
		$connection->close();
		my $line = gone($t, { id => $id });
		is(join(' ', map { $line->{$_} // '-' } qw/status usage output_tokens/), '499 partial 0',
			"$name: nothing came, $wait");
		cmp_ok($line->{input_tokens}, '>', 0, "$name: but the engine had the prompt, $wait");
		$used{early} += $line->{input_tokens};
	}
}
is(settled($before, 6)->{aborted} - $before->{aborted}, 6, 'nothing came: the engine is told');
is(charged('early'), $used{early}, 'nothing came: charged as logged');

# While its body comes. Nothing is taken before it is there.

for my $place ('', '/unbuffered') {
	my ($uri, $body) = @{$dialect{chat}};
	my ($head, $text) = post("$place$uri", $body, 'X-API-Key: key-body') =~ /^(.*?\r\n)(\r\n.*)$/s;
	my $id = new_id();
	my $connection = connection();
	$connection->send("${head}X-Request-ID: $id\r\n" . substr($text, 0, 30));
	is(served('open'), 200, "$place half a body: somebody else is served");
	is(served('body'), 200, "$place half a body: no slot is taken");
	$connection->close();
	my $line = gone($t, { id => $id });
	is("$line->{usage} $line->{output_tokens}", 'none none', "$place half a body: no charge");

	$id = new_id();
	$connection = connection();
	my $r = $connection->ask("${head}X-Request-ID: $id\r\n" . substr($text, 0, 30));
	$line = gone($t, { id => $id });
	is("$line->{status} $line->{usage} $line->{output_tokens}", '408 none none',
		"$place half a body: it does not come");
	is(engine_body(8081, $id), undef, "$place half a body: not for the engine");
}

# While it waits for its turn.

my $first = stream('chat', 'wait', '', tokens => 3);
my $waiting = connection();
my $waiting_id = new_id();
$waiting->send(post(@{$dialect{chat}}[0, 1], 'X-API-Key: key-wait', "X-Request-ID: $waiting_id"));
is(served('open'), 200, 'somebody else is served');
is(served('wait'), 429, 'the place in the queue is taken');
$waiting->close();
my @lines = audited($t, $waiting_id);
is(join(' ', scalar @lines, map { $lines[0]{$_} // '-' } qw/status usage output_tokens/),
	'1 499 none -', 'left the queue: a line, no charge')
	or diag(explain($lines[0]));
is(engine_body(8081, $waiting_id), undef, 'left the queue: the engine never hears of it');

my $next = connection();
$next->send(post('/v1/chat/completions', { @messages, max_tokens => 5 }, 'X-API-Key: key-wait'));
is(served('open'), 200, 'somebody else is served still');
is(served('wait'), 429, 'the place is somebody else\'s');
$first->{connection}->close();
is(status($next->answer()), 200, 'who gets the slot then');

###############################################################################

# The engine breaks off, or falls silent.

$before = stats(8081);
for my $name (sort keys %dialect) {
	my ($uri, $body) = @{$dialect{$name}};
	for my $after (0, 1, 7) {
		my $id = new_id();
		ask(post($uri, $body, 'X-API-Key: key-cut', "X-Request-ID: $id", 'X-Mock-Tokens: 20',
			"X-Mock-Cut-After: $after"));
		my $line = gone($t, { id => $id });
		is("$line->{usage} $line->{output_tokens}", "partial $after",
			"$name: the engine breaks off after $after");
		$used{cut} += $line->{input_tokens} + $line->{output_tokens};
	}
}
is(stats(8081)->{cut} - $before->{cut}, 9, 'it did break off');
is(charged('cut'), $used{cut}, 'broken off: charged as logged');

$before = stats(8081);
for my $name (sort keys %dialect) {
	my $stream = stream($name, 'timeout', '/impatient', tokens => 4);
	$stream->{connection}->peek(sub { 0 });
	$stream->{connection}->close();
	my $line = gone($t, $stream);
	is("$line->{usage} $line->{output_tokens}", 'partial 4', "$name: the engine falls silent");
	$used{timeout} += $line->{input_tokens} + $line->{output_tokens};
}
is(settled($before, 3)->{active}, 0, 'silent: the engine is told');
is(charged('timeout'), $used{timeout}, 'silent: charged as logged');

###############################################################################

# HTTP/2

$before = stats(8081);
for my $name (sort keys %dialect) {
	my ($uri, $body) = @{$dialect{$name}};
	my $id = new_id();
	my ($curl, $output) = h2_start($t, $uri, $body, 'X-API-Key: key-h2', "X-Request-ID: $id",
		'X-Mock-Tokens: 12', 'X-Mock-Hold: 1');
	ok(poll { count_in($name, eval { $t->read_file($output) } // '') == 12 },
		"$name, HTTP/2: all is there that came");
	kill 'KILL', $curl;
	waitpid $curl, 0;
	my $line = gone($t, { id => $id });
	is("$line->{usage} $line->{output_tokens}", 'partial 12', "$name, HTTP/2: charged what came");
	$used{h2} += $line->{input_tokens} + $line->{output_tokens};
}
is(settled($before, 3)->{aborted} - $before->{aborted}, 3, 'HTTP/2: the engine is told');
is(charged('h2'), $used{h2}, 'HTTP/2: charged as logged');

###############################################################################

# A reload in mid-stream. The old worker goes on with its streams, in the same zone.

my ($uri, $body) = @{$dialect{chat}};
my $id = new_id();
my $stays = connection();
$stays->send(post($uri, $body, 'X-API-Key: key-reload', "X-Request-ID: $id", 'X-Mock-Tokens: 20',
	'X-Mock-Token-Delay-Ms: 100'));
my $head = $stays->answer(head => 1);
my $leaves = stream('chat', 'left', '', tokens => 5);
$leaves->{connection}->peek(sub { count('chat', @_) == 5 });

reload_and_wait($t);
is(served('left'), 429, 'reload: a stream of an old worker holds its slot');

ok($stays->peek(sub { $_[0] =~ /\[DONE\]/ }), 'reload: a stream comes to its end');
$stays->close();
$line = gone($t, { id => $id });
is("$line->{usage} $line->{output_tokens}", 'measured 20', 'reload: it is measured');
is(charged('reload'), $line->{input_tokens} + 20, 'reload: charged in the same zone');

$leaves->{connection}->close();
$line = gone($t, $leaves);
is("$line->{usage} $line->{output_tokens}", 'partial 5', 'reload: a stream is left');
is(served('left'), 200, 'reload: its slot is free');

###############################################################################

# One line each.

my %lines;
$lines{$_->{request_id}}++ for audit_lines($t, 'audit.log');
is(join(' ', grep { $lines{$_} != 1 } sort keys %lines), '', 'one line for each request');
is(stats(8081)->{active}, 0, 'nothing is left in the engine');

###############################################################################

# A stream of an engine that holds it open after so many tokens, as soon as its head is there.
sub stream {
	my ($name, $client, $place, %options) = @_;
	my ($uri, $body) = @{$dialect{$name}};
	my $id = new_id();
	my $connection = connection();
	my $head = $connection->ask(post("$place$uri", $body, "X-API-Key: key-$client",
		"X-Request-ID: $id", "X-Mock-Tokens: $options{tokens}", 'X-Mock-Hold: 1',
		'X-Mock-Token-Delay-Ms: ' . ($options{delay} // 0), @{$options{lines} // []}), head => 1);
	return {
		id => $id, connection => $connection,
		remaining => header($head, 'x-ratelimit-remaining-tokens'),
	};
}

# How many deltas there are in what has come of a chunked body.
sub count {
	my ($name, $raw) = @_;
	return count_in($name, http_content("HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n$raw"));
}

sub count_in {
	my ($name, $text) = @_;
	my $deltas = () = $text =~ /$dialect{$name}[2]/g;
	return $deltas;
}

# The audit line of a request. When it is there, all is settled.
sub gone {
	my ($t, $stream) = @_;
	my ($line) = audited($t, $stream->{id});
	return { usage => 'none', input_tokens => 0, output_tokens => 'none', %$line };
}

# What the engine counts, once it knows of so many more streams that were left.
sub settled {
	my ($before, $aborted) = @_;
	my $stats;
	poll {
		$stats = stats(8081);
		$stats->{active} == 0 && $stats->{aborted} - $before->{aborted} >= $aborted;
	};
	return $stats;
}

# The status of a short request.
sub served {
	my ($client) = @_;
	return status(ask(post('/v1/completions', { model => 'm', prompt => 'p', max_tokens => 5 },
		"X-API-Key: key-$client")));
}

# What is gone from a client's tokens. This reserves 14, which it gets back: the engine refuses it.
sub charged {
	my ($client) = @_;
	my $r = ask(post('/v1/completions', { model => 'm', prompt => [1 .. 4], max_tokens => 6 },
		"X-API-Key: key-$client", 'X-Mock-Status: 400'));
	return 20_000 - 14 - (header($r, 'x-ratelimit-remaining-tokens') // 0);
}

# Runs curl until it is killed: its pid, and the file that it writes.
sub h2_start {
	my ($t, $uri, $body, @lines) = @_;
	my $path = $t->testdir() . '/received';
	unlink $path;
	my $pid = fork() // die "Can't fork: $!\n";
	if ($pid == 0) {
		exec 'curl', '-sSN', '--http2-prior-knowledge', (map { ('-H', $_) } @lines),
			'--data-binary', json($body), '-o', $path, 'http://127.0.0.1:' . port(8082) . $uri
			or POSIX::_exit(127);
	}
	return ($pid, 'received');
}

###############################################################################
