#!/usr/bin/perl

# What is reserved for a request that says how much output it may have: a bound that no limit can hold
# takes what it can hold and no more, and tollgate_reserve says whether the bound counts at all.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get header keys_file status/;
use Tollgate::Client;
use Tollgate::Engine;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;

    # A token costs 0.001.
    tollgate_price * input=1000 output=1000;

    tollgate_tier open   { }
    tollgate_tier purse  { budget 1/month; }
    tollgate_tier bucket { tokens 1000/d; }
    tollgate_tier block  { model mo* { output_tokens 500/d; budget 1/month; } }

    tollgate_limit shared key=all tokens=1000/d;
    tollgate_limit money  key=all budget=1/month;

    tollgate_audit_log audit.log;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;
        tollgate_estimate bytes_per_token=4 output=100;
        proxy_buffering off;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /shared/ {
            tollgate_apply shared;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /money/ {
            tollgate_apply money;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /refuse/ {
            tollgate_oversized refuse;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /learned/ {
            tollgate_reserve learned;
            proxy_pass http://127.0.0.1:8081/;
        }
    }
}

EOC

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(41)->write_file_expand('nginx.conf', $conf);

$t->write_file('keys.json', keys_file(
	(map { { key => "key-open-$_", client => "open-$_", tier => 'open' } } 1 .. 4),
	(map { { key => "key-purse-$_", client => "purse-$_", tier => 'purse' } } 1 .. 9),
	(map { { key => "key-bucket-$_", client => "bucket-$_", tier => 'bucket' } } 1 .. 6),
	(map { { key => "key-block-$_", client => "block-$_", tier => 'block' } } 1 .. 2),
));
start_engine($t, 8081);
$t->run();

my $huge = 1_000_000_000_000;

###############################################################################

# a bound that no limit can hold

my $r = complete(client => 'bucket-1', max => $huge, tokens => 20);
is(status($r), 200, 'a huge bound passes a full bucket');
is(header($r, 'x-ratelimit-remaining-tokens'), 0, 'and takes all of it');
is(header($r, 'x-ratelimit-reset-tokens'), '24h0m0s', 'and no more');
# The prompt is a token, and so is that of the next one, which reserves 1 + 4 + 1.
is(left('bucket-1'), 1000 - 21 - 6, 'what it took is charged');

$r = complete(client => 'bucket-2', max => $huge, tokens => 1200);
is(status($r), 200, 'a huge bound that is used');
like(header(complete(client => 'bucket-2', max => 1), 'x-ratelimit-reset-tokens'), qr/^28h49m/,
	'is charged to the last token, as debt');

complete(client => 'bucket-3', max => 10, tokens => 10);
$r = complete(client => 'bucket-3', max => $huge);
is(status($r), 429, 'a huge bound waits for a full bucket');
cmp_ok(header($r, 'retry-after'), '<', 3600, 'which is soon: nothing was in debt');

$r = complete(client => 'bucket-3', uri => '/refuse/v1/completions', max => $huge);
is(status($r), 429, 'refuse: refused');
is(header($r, 'retry-after'), undef, 'refuse: for good');
is(status(complete(client => 'bucket-4', uri => '/refuse/v1/completions', max => 900)), 200,
	'refuse: one that fits passes');
is(status(complete(client => 'bucket-5', uri => '/refuse/v1/completions', tokens => 5)), 200,
	'refuse: and one without a bound');

# An answer that nobody can read is charged as reserved, which is no more than the limit can hold.
$r = complete(client => 'bucket-6', max => $huge, tokens => 20,
	lines => ['X-Mock-Encoding: always']);
is(status($r), 200, 'an answer that can\'t be read');
$r = complete(client => 'bucket-6', max => 1);
is(status($r), 429, 'is charged as reserved');
cmp_ok(header($r, 'retry-after'), '<', 3600, 'and nobody is in debt for it');

# Shared with others.
$r = complete(client => 'open-1', uri => '/shared/v1/completions', max => $huge, tokens => 20);
is(status($r), 200, 'a rule');
is(status(complete(client => 'open-2', uri => '/shared/v1/completions', max => 10, tokens => 10)), 200,
	'a rule: others pass when it has ended');

my ($held, $head) = hold(client => 'open-3', uri => '/money/v1/completions', max => $huge);
is(status($head), 200, 'money: a huge bound');
$r = complete(client => 'open-4', uri => '/money/v1/completions', max => 1);
is(status($r), 429, 'money: all of it is reserved while it runs');
undef $held;
ok(poll { status(complete(client => 'open-4', uri => '/money/v1/completions', max => 1, tokens => 1)) == 200 },
	'money: and free when it ends');

# budgets

$r = complete(client => 'purse-1', max => $huge, tokens => 20);
is(status($r), 200, 'a bound above the budget passes while nothing is spent');
$r = complete(client => 'purse-1', max => $huge, tokens => 20);
is(status($r), 429, 'and not afterwards');
cmp_ok(header($r, 'retry-after'), '>', 0, 'until the next period');
is(status(complete(client => 'purse-1', max => 800, tokens => 20)), 200, 'a smaller one does');

$r = complete(client => 'purse-2', uri => '/refuse/v1/completions', max => $huge);
is(status($r), 429, 'refuse: a bound above the budget');
is(header($r, 'retry-after'), undef, 'refuse: for good');

is(status(complete(client => 'block-1', model => 'mock', max => $huge, tokens => 20)), 200, 'a model block');
is(status(complete(client => 'block-1', model => 'mock', max => 300, tokens => 20)), 200,
	'a model block: charged what it took');

# a guess

is(status(complete(client => 'purse-3', tokens => 850)), 200, 'no bound');
is(status(complete(client => 'purse-3', tokens => 20)), 200,
	'a guess takes no more than is left');
is(status(complete(client => 'purse-3', max => 200, tokens => 20)), 429, 'a bound does');
is(status(complete(client => 'purse-3', tokens => 200)), 200, 'and the last one may overdraw');
is(status(complete(client => 'purse-3', tokens => 1)), 429, 'after which nothing passes');

# a directive

is(passed('purse-4', '', 250, 5), 2, 'bound: agents that ask for much and take little');
is(passed('purse-5', '/learned', 150, 5), 5, 'learned: all of them pass');
is(passed('purse-6', '/learned', 400, 5), 3, 'learned: to the end of the budget, and one beyond');
$r = complete(client => 'purse-7', uri => '/learned/v1/completions', max => 5, tokens => 5);
is(status($r), 200, 'learned: a bound below the guess');
my $line;
poll { ($line) = grep { ($_->{client} // '') eq 'purse-7' } audit_lines($t, 'audit.log') };
is($line->{cost}, 0.006, 'learned: charged what it took');

for my $value ('off', 'bound learned', '') {
	my $test = $conf;
	$test =~ s/tollgate_reserve learned/tollgate_reserve $value/;
	my ($status, $output) = configtest($t, $test);
	isnt($status, 0, "tollgate_reserve $value");
}

###############################################################################

# How many of so many requests pass that may take 700, and take so many.
sub passed {
	my ($client, $place, $tokens, $count) = @_;
	return scalar grep { $_ == 200 } map { status(complete(client => $client,
		uri => "$place/v1/completions", max => 700, tokens => $tokens)) } 1 .. $count;
}

# What is left after a request that reserves 6.
sub left {
	my ($client) = @_;
	return header(complete(client => $client, max => 1, tokens => 1), 'x-ratelimit-remaining-tokens');
}

###############################################################################
