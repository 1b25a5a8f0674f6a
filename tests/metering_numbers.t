#!/usr/bin/perl

# docs/metering.md: its configuration works as it stands, and each row of its tables of numbers is what
# becomes of such a request.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header json keys_file status/;
use Tollgate::Client;
use Tollgate::Engine;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy/);

open my $file, '<', "$FindBin::Bin/../docs/metering.md" or die "Can't open docs/metering.md: $!\n";
my $document = do { local $/; <$file> };

my ($conf) = $document =~ /^```nginx\n(load_module .*?)^```/ms
	or die "docs/metering.md has no complete configuration\n";

# What the requests hold: 4 words, 22 bytes with "user". And 4 more tokens of the engine's.
my @messages = (messages => [{ role => 'user', content => 'one two three four' }]);
my %bounded = (model => 'llama-3.1-8b', max_tokens => 50, @messages);

my $chat = '/v1/chat/completions';

# Of each: the name of the row, the path, the body, and what the engine is told.
my @rows = (
	['a bound of 50', $chat, { %bounded }, 'X-Mock-Tokens: 20'],
	['3 of the input cached', $chat, { %bounded }, 'X-Mock-Tokens: 20', 'X-Mock-Cached-Tokens: 3'],
	['three choices, `"n": 3`', $chat, { %bounded, n => 3 }, 'X-Mock-Tokens: 20'],
	['no bound, the first of its model', $chat, { model => 'llama-new', @messages }, 'X-Mock-Tokens: 20'],
	['no bound, the next one', $chat, { model => 'llama-new', @messages }, 'X-Mock-Tokens: 40'],
	['no bound, and one more', $chat, { model => 'llama-new', @messages }, 'X-Mock-Tokens: 20'],
	['with a picture', $chat, { %bounded, messages => [{ role => 'user', content => [
		{ type => 'text', text => 'one two three four' },
		{ type => 'image_url', image_url => { url => 'data:image/png;base64,' . 'A' x 4000 } }] }] },
		'X-Mock-Tokens: 20'],
	['a stream', $chat, { %bounded, stream => \1 }, 'X-Mock-Tokens: 20'],
	['a stream that the engine breaks off before its first token', $chat, { %bounded, stream => \1 },
		'X-Mock-Tokens: 20', 'X-Mock-Cut-After: 0'],
	['a stream that the engine breaks off after 5 tokens', $chat, { %bounded, stream => \1 },
		'X-Mock-Tokens: 20', 'X-Mock-Cut-After: 5'],
	['the same, with `tollgate_engine vllm`', "/vllm$chat", { %bounded, stream => \1 },
		'X-Mock-Tokens: 20', 'X-Mock-Cut-After: 5'],
	['a stream whose client declines the usage', $chat, { %bounded, stream => \1,
		stream_options => { include_usage => \0 } }, 'X-Mock-Tokens: 20'],
	['the engine compresses its answer all the same', $chat, { %bounded }, 'X-Mock-Encoding: always'],
	['the engine answers 500', $chat, { %bounded }, 'X-Mock-Status: 500'],
	['embeddings of two texts', '/v1/embeddings', { model => 'llama-e', input => ['one two', 'three four'] }],
	['Anthropic\'s messages, a stream', '/v1/messages', { %bounded, stream => \1 }, 'X-Mock-Tokens: 20'],
	['2 of its input written to the cache for an hour', '/v1/messages', { %bounded, model => 'claude-3' },
		'X-Mock-Tokens: 20', 'X-Mock-Cache-Write-Tokens: 2', 'X-Mock-Cache-Write-1h-Tokens: 2'],
	['Ollama\'s chat, a stream', '/api/chat', { model => 'llama-3.1-8b', @messages,
		options => { num_predict => 50 } }, 'X-Mock-Tokens: 20'],
	['TGI\'s `/generate`, without details', '/generate', { inputs => 'one two three four',
		parameters => { max_new_tokens => 50 } }, 'X-Mock-Tokens: 20'],
	['TGI\'s `/generate_stream`', '/generate_stream', { inputs => 'one two three four',
		parameters => { max_new_tokens => 50 } }, 'X-Mock-Tokens: 20'],
);

# Each has a client of its own, so that each finds its bucket full; but for those of a client from which
# something was learned.
my %client_of = ('no bound, the next one' => 3, 'no bound, and one more' => 3);
my %charged;

$t->write_file('keys.json', keys_file(
	map({ { key => "key-$_", client => "client-$_", tier => 'demo' } } 0 .. $#rows),
	map({ { key => "key-$_", client => "client-$_", tier => $_ } } qw/small daily cheap/),
));

$conf =~ s/^load_module .*\n//m;
$conf =~ s/^http \{\n/http {\n    %%TEST_GLOBALS_HTTP%%\n/m or die "no http block\n";
$t->write_file_expand('nginx.conf', "%%TEST_GLOBALS%%\ndaemon off;\n$conf");

start_engine($t, 8000);
$t->run()->plan(@rows + 17);

###############################################################################

for my $number (0 .. $#rows) {
	my ($name, $uri, $body, @lines) = @{$rows[$number]};
	my $client = $client_of{$name} // $number;
	my $response = post($uri, "key-$client", $body, @lines);
	my $line = (audit_lines($t, 'audit.log', $number + 1))[-1];
	my $left = header($response, 'x-ratelimit-remaining-tokens') // 0;
	my $row = join ' | ', "| $name", 10_000 - ($charged{$client} // 0) - $left,
		($line->{input_tokens} // 0) . ' + ' . ($line->{output_tokens} // 0), $line->{usage},
		(cost($t) // '-') . ' |';
	$charged{$client} += ($line->{input_tokens} // 0) + ($line->{output_tokens} // 0);
	ok(index($document, "\n$row\n") >= 0, "row: $name") or diag("it is now:\n$row");
}

###############################################################################

# What the text says of debts and of budgets.

my $sent = @rows;

my $r = post($chat, 'key-small', { %bounded, max_tokens => 136 }, 'X-Mock-Tokens: 136');
is(status($r), 200, 'a request of 150 passes a full bucket of 100');
is(header($r, 'x-ratelimit-remaining-tokens'), 0, 'and leaves nothing');
is(header($r, 'x-ratelimit-reset-tokens'), '24h0m0s', 'and no debt: the bucket is taken as a whole');

# It took 140: 40 of debt, and 24 more are asked for.
audit_lines($t, 'audit.log', ++$sent);
$r = post($chat, 'key-small', { %bounded, max_tokens => 10 });
$sent++;
is(status($r), 429, 'nothing passes while it is in debt');
my $hours = (header($r, 'retry-after') // 0) / 3600;
ok($hours > 15.3 && $hours <= 15.36, 'until debt and request fit: 64 at 100 a day') or diag($hours);

$r = post("/refuse$chat", 'key-small', { %bounded, max_tokens => 10_000 });
$sent++;
is(status($r), 429, 'an oversized request may be refused');
is(header($r, 'retry-after'), undef, 'for good');

$r = post($chat, 'key-daily', { %bounded, max_tokens => 1000 }, 'X-Mock-Tokens: 1000');
is(status($r), 200, 'a budget has room for one');
is(cost($t, ++$sent), '0.0006006', 'what it cost');
$r = post($chat, 'key-daily', { %bounded, max_tokens => 1000 });
is(status($r), 429, 'and not for another one');
is(header($r, 'x-should-retry'), 'false', 'which is not to be tried again');
is((audit_lines($t, 'audit.log', ++$sent))[-1]{remaining}, 0.0003994, 'what is left');

$r = post($chat, 'key-daily', { %bounded, model => 'qwen' });
is(status($r), 403, 'a model without a price');
$sent++;

$r = post($chat, 'key-cheap', { %bounded }, 'X-Mock-Tokens: 20', 'X-Mock-Cached-Tokens: 3');
is(header($r, 'x-ratelimit-remaining-tokens'), 9936, 'cached input is reserved');
my $line = (audit_lines($t, 'audit.log', ++$sent))[-1];
is("$line->{input_tokens} $line->{cached_tokens} $line->{output_tokens}", '4 3 20', 'and logged');
$r = post($chat, 'key-cheap', { %bounded }, 'X-Mock-Status: 500');
is(header($r, 'x-ratelimit-remaining-tokens'), 10_000 - 21 - 64, 'but not charged where it is free');

is((audit_lines($t, 'audit.log', ++$sent))[-1]{status}, 500, 'the last one');

###############################################################################

sub post {
	my ($uri, $key, $body, @lines) = @_;
	my $text = json($body);
	return http(join("\r\n", "POST $uri HTTP/1.0", 'Host: localhost', "X-API-Key: $key",
		'Content-Type: application/json', 'Content-Length: ' . length $text, @lines, '', $text));
}

# The cost of the last of so many requests, as the log has it, with all of its digits; undef if it has
# none.
sub cost {
	my ($t, $count) = @_;
	audit_lines($t, 'audit.log', $count);
	my ($line) = (split /\n/, $t->read_file('audit.log'))[-1];
	return ($line =~ /"cost":([\d.]+)/)[0];
}

###############################################################################
