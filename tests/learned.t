#!/usr/bin/perl

# What is learned of answers: how much output requests without a bound have, and how many tokens a
# model makes of a text. One client teaches only itself, an answer that its bound cut short lowers
# nothing, and a guess refuses nobody for good.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get header json keys_file status/;
use Tollgate::Client;
use Tollgate::Engine;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(21)->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;

    # A thousand tokens cost 0.01.
    tollgate_price * input=10 output=10;

    tollgate_tier wide  { tokens 3k/d burst=1000k; }
    tollgate_tier money { budget 0.50/month; }
    tollgate_tier small { tokens 20k/d; }

    tollgate_limit shared key=all tokens=20k/d;

    tollgate_audit_log audit.log;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;
        proxy_buffering off;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /shared/ {
            tollgate_apply shared;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /fixed/ {
            tollgate_estimate bytes_per_token=4;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /refuse/ {
            tollgate_oversized refuse;
            proxy_pass http://127.0.0.1:8081/;
        }
    }
}

EOF

$t->write_file('keys.json', keys_file(
	map { my $tier = $_; map { { key => "key-$tier-$_", client => "$tier-$_", tier => $tier } } 1 .. 12 }
		qw/wide money small/
));
start_engine($t, 8081);
$t->run();

###############################################################################

# a guess makes nothing unpayable

complete(client => 'money-1', tokens => $_) for 12_000, 16_000, 20_000;
is(status(complete(client => 'money-1', tokens => 100)), 200, 'the last of a budget can still be asked for');
for my $n (2 .. 5) {
	complete(client => "money-$n", tokens => 40_000);
}
is(status(complete(client => 'money-6', tokens => 100)), 200, 'after answers of others that cost nearly all');
is(status(complete(client => 'money-2', tokens => 100)), 200, 'and after its own');

complete(client => 'small-1', tokens => 60_000);
my $r = complete(client => 'small-2', tokens => 100);
is(status($r), 200, 'answers beyond what a bucket holds: a fresh one');
$r = complete(client => 'small-1', tokens => 100);
is(status($r), 429, 'answers beyond what a bucket holds: their client works its debt off');
cmp_ok(header($r, 'retry-after'), '<=', 4 * 86400, 'and no more than that');
complete(client => 'small-3', uri => '/refuse/v1/completions', model => 'mock-2', tokens => 20_000);
$r = complete(client => 'small-3', uri => '/refuse/v1/completions', model => 'mock-2', tokens => 10);
isnt(header($r, 'retry-after'), undef, 'a guess is never oversized');

# what bounds teach

complete(client => 'wide-1', model => 'bounds', max => 1, tokens => 1) for 1 .. 50;
is(reserved_output('wide-1', 'bounds'), 1024, 'answers that hit their bound lower nothing');
complete(client => 'wide-1', model => 'bounds', max => 100, tokens => 3) for 1 .. 50;
is(reserved_output('wide-1', 'bounds'), 1024, 'nor do others with a bound');

# who teaches whom

complete(client => 'wide-2', model => 'shared', tokens => 1) for 1 .. 30;
cmp_ok(reserved_output('wide-2', 'shared'), '<', 100, 'a client teaches itself');
is(reserved_output('wide-3', 'shared'), 1024, 'and not the others');
complete(client => "wide-$_", model => 'shared', tokens => 300) for map { ($_) x 4 } 4 .. 7;
my $guess = reserved_output('wide-8', 'shared');
ok($guess >= 280 && $guess <= 330, 'several do') or diag($guess);

# A rule that others share is not reserved from by less than what others have.
complete(client => 'wide-2', uri => '/shared/v1/completions', model => 'rule', tokens => 1) for 1 .. 30;
my @held = map { [hold(client => 'wide-2', uri => '/shared/v1/completions', model => 'rule')] } 1 .. 30;
my $passed = grep { status($_->[1]) == 200 } @held;
ok($passed >= 10 && $passed <= 20, 'short answers of one client let no flood into a shared rule')
	or diag($passed);
undef @held;

# the input

my $text = join ' ', map { my $n = $_; map { "$_$n" } qw/some words that the engine counts one by one/ } 1 .. 40;
my $real = 9 * 40;
my $first = reserved_input('wide-9', 'words', $text);
cmp_ok(abs($first / $real - 1), '>', 0.2, 'the input is estimated by its length at first');
ask('wide-9', 'words', $text) for 1 .. 50;
my $learned = reserved_input('wide-9', 'words', $text);
cmp_ok(abs($learned / $real - 1), '<', 0.05, 'after fifty answers by what the engine made of it')
	or diag("$learned for $real");
is(reserved_input('wide-10', 'words', $text), $first, 'one client teaches only itself');
is(reserved_input('wide-9', 'new', $text), $first, 'and only of the model');
is(reserved_input('wide-9', 'words', $text, '/fixed'), $first, 'bytes_per_token: whatever was learned');

ask("wide-$_", 'words', $text) for map { ($_) x 5 } 9 .. 11;
cmp_ok(reserved_input('wide-12', 'words', $text), '<', $first, 'several clients teach others');

# what is charged for a stream that is cut follows it
$r = ask('wide-9', 'words', $text, '', 'stream', 'X-Mock-Cut-After: 3');
my $line;
poll {
	($line) = grep { ($_->{usage} // '') eq 'partial' && $_->{client} eq 'wide-9' }
		audit_lines($t, 'audit.log');
};
cmp_ok(abs($line->{input_tokens} / $real - 1), '<', 0.05, 'a stream that is cut is charged by it')
	or diag(explain($line));

like($t->read_file('audit.log'), qr/"usage":"measured"/, 'answers are measured');

###############################################################################

# What is reserved for a prompt of one token, without a bound, but for the prompt. It teaches nothing.
sub reserved_output {
	my ($client, $model) = @_;
	my $before = left($client);
	my ($connection, $head) = hold(client => $client, model => $model);
	my $reserved = $before - header($head, 'x-ratelimit-remaining-tokens');
	undef $connection;
	poll { left($client) > $before - $reserved };
	return $reserved - 5;
}

# What is reserved for the input.
sub reserved_input {
	my ($client, $model, $text, $place) = @_;
	my $before = left($client);
	my $r = ask($client, $model, $text, $place, 0, 'X-Mock-Status: 500');
	return $before - header($r, 'x-ratelimit-remaining-tokens') - 1;
}

sub ask {
	my ($client, $model, $text, $place, $stream, @lines) = @_;
	return complete(client => $client, model => $model, max => $stream ? 50 : 1,
		uri => ($place // '') . '/v1/completions', stream => $stream, lines => \@lines,
		body => { prompt => $text }, tokens => $stream ? 20 : 1);
}

# What is left of the bucket: a request that is refused by the engine costs nothing.
sub left {
	my ($client) = @_;
	my $r = complete(client => $client, model => 'left', max => 1, lines => ['X-Mock-Status: 500']);
	return header($r, 'x-ratelimit-remaining-tokens') + 6;
}

###############################################################################
