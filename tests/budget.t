#!/usr/bin/perl

# Money: what a request costs, to the nano-unit; that no more is spent than there is; and what a
# client is told whose budget is spent.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header keys_file status/;
use Tollgate::Client;
use Tollgate::Engine;

use Time::Local qw/timegm/;

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

    # A token of "mock" costs 0.001.
    tollgate_price mock input=1000 output=1000;
    tollgate_price llama-*-70b input=0.9 output=2.7;
    tollgate_price llama-* input=0.15 output=0.60 cached_input=0.0375;
    tollgate_price cached input=1000 output=0 cached_input=100;
    tollgate_price tiny input=0.000001 output=0;
    tollgate_price dear input=1000000000 output=1000000000;
    tollgate_price gratis input=0 output=0;
    tollgate_price in input=7 output=0;
    tollgate_price out input=0 output=7;

    tollgate_tier open    { }
    tollgate_tier priced  { default_price input=3 output=4 cached_input=1; }
    tollgate_tier month   { budget 0.1/month; }
    tollgate_tier small   { budget 0.01/month; }
    tollgate_tier hour    { budget 0.01/hour; }
    tollgate_tier day     { budget 0.01/day; }
    tollgate_tier all     { budget 0.01/hour; budget 0.02/day; budget 0.021/month; }
    tollgate_tier both    { budget 0.01/hour; budget 0.01/month; }
    tollgate_tier default { budget 0.01/month; default_price input=1000 output=1000; }
    tollgate_tier block   { model big { budget 0.01/month; } model mock { budget 0.02/month; } }
    tollgate_tier huge    { budget 1000000/month; }
    tollgate_tier mixed   { budget 0.1/month; tokens 100/d burst=1000; requests 3r/h; }

    tollgate_limit purse key=all budget=0.1/month;
    tollgate_limit model key=$tollgate_model budget=0.02/month;

    tollgate_audit_log audit.log;
    log_format cost $tollgate_request_id:$tollgate_cost:;
    access_log %%TESTDIR%%/cost.log cost;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;
        proxy_buffering off;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /purse/ {
            tollgate_apply purse;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /model/ {
            tollgate_apply model;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /ollama/ {
            tollgate_engine ollama;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /dry/ {
            tollgate_dry_run on;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /refuse/ {
            tollgate_oversized refuse;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /dead/ {
            proxy_pass http://127.0.0.1:8082/;
        }
    }
}

EOC

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(125)
	->write_file_expand('nginx.conf', $conf);

my %tiers = (
	open => [qw/open open-2/],
	priced => ['priced'],
	month => [qw/month exact failing unknown stream dry/],
	small => [qw/small small-2 small-3/],
	hour => ['hour'],
	day => ['day'],
	all => ['all'],
	both => ['both'],
	default => ['default'],
	block => [qw/block/],
	huge => ['huge'],
	mixed => ['mixed'],
);
$t->write_file('test.json', keys_file({ key => 'a-key', client => 'someone' }));
$t->write_file('keys.json', keys_file(map {
	my $tier = $_;
	map { { key => "key-$_", client => $_, tier => $tier } } @{$tiers{$tier}};
} sort keys %tiers));
start_engine($t, 8081);
$t->run();

###############################################################################

# what it costs

costs($t, '0.03', 'input and output', model => 'mock', input => 10, tokens => 20);
costs($t, '0.0000036', 'the first pattern that fits', model => 'llama-3-70b', input => 1, tokens => 1);
costs($t, '0.00000075', 'the next one, for other models', model => 'llama-3-8b', input => 1, tokens => 1);
costs($t, '0.0001575', 'cached input is cheaper', model => 'llama-3-8b', input => 1000, tokens => 50,
	lines => ['X-Mock-Cached-Tokens: 200']);
costs($t, '0.0000375', 'all of it cached', model => 'llama-3-8b', input => 1000, tokens => 0,
	lines => ['X-Mock-Cached-Tokens: 1000']);
costs($t, '0.019', 'another price for it', model => 'cached', input => 100, tokens => 50,
	lines => ['X-Mock-Cached-Tokens: 90']);
costs($t, '0.000000001', 'less than a nano-unit is one', model => 'tiny', input => 1, tokens => 1);
costs($t, '0.000000001', 'once, not for each token', model => 'tiny', input => 1000, tokens => 1);
costs($t, '0.000000002', 'and one more for the next', model => 'tiny', input => 1001, tokens => 1);
costs($t, '3000', 'the largest price', model => 'dear', input => 1, tokens => 2);
costs($t, '0', 'nothing', model => 'gratis', input => 10, tokens => 10);
costs($t, '0.000035', 'only the input', model => 'in', input => 5, tokens => 10);
costs($t, '0.00007', 'only the output', model => 'out', input => 5, tokens => 10);
costs($t, '0.000011', 'the default price of a tier', client => 'priced', model => 'unknown', input => 1, tokens => 2);
costs($t, '0.000009', 'the default price, cached', client => 'priced', model => 'unknown', input => 1, tokens => 2,
	lines => ['X-Mock-Cached-Tokens: 1']);
costs($t, '0.03', 'a price of its own comes before', client => 'priced', model => 'mock', input => 10, tokens => 20);
costs($t, '0.03', 'a stream', model => 'mock', input => 10, tokens => 20, stream => 1);
costs($t, '0.07', 'several choices', model => 'mock', input => 10, tokens => 20, body => { n => 3 });
costs($t, '0.01', 'an embedding', model => 'mock', uri => '/v1/embeddings',
	body => { input => [1 .. 10], prompt => undef });
costs($t, undef, 'no price', model => 'unknown', input => 1, tokens => 1);
costs($t, undef, 'an error', model => 'mock', lines => ['X-Mock-Status: 500']);

# a model without a price

my $r = complete(client => 'unknown', model => 'unknown', max => 1);
is(status($r), 403, 'unknown model: refused where there is a budget');
is_deeply([@{content_json($r)->{error}}{qw/type code param/}],
	['invalid_request_error', 'model_access_denied', 'model'], 'unknown model: says so');
is(header($r, 'Retry-After'), undef, 'unknown model: no time to wait for');
$r = complete(client => 'unknown', max => 1, body => { model => undef });
is(status($r), 403, 'no model');
$r = complete(client => 'unknown', uri => '/v1/messages', model => 'unknown', max => 1,
	body => { prompt => undef, messages => [{ role => 'user', content => 'hi' }] });
is(content_json($r)->{error}{type}, 'permission_error', 'unknown model: Anthropic');
$r = complete(client => 'unknown', uri => '/ollama/api/generate', model => 'unknown',
	body => { prompt => 'hi' });
is(status($r), 403, 'unknown model: Ollama');
ok(!ref content_json($r)->{error}, 'unknown model: Ollama: its body');
is(status(complete(client => 'open', model => 'unknown', max => 1)), 200, 'unknown model: no budget');
is(status(complete(client => 'default', model => 'unknown', max => 1)), 200,
	'unknown model: a default price');
is(status(complete(client => 'open', uri => '/purse/v1/completions', model => 'unknown', max => 1)), 403,
	'unknown model: the budget of a rule');
is(status(complete(client => 'block', model => 'big', max => 1)), 403,
	'unknown model: the budget of a block');
is(status(complete(client => 'block', model => 'unknown', max => 1)), 200,
	'unknown model: and no budget for others');
is(status(http("GET /v1/models HTTP/1.0\r\nHost: localhost\r\nX-API-Key: key-unknown\r\n\r\n")), 200,
	'no tokens: passes');
is(status(complete(client => 'mixed', model => 'unknown', max => 1)), 403, 'unknown model: other limits');
$r = complete(client => 'mixed', max => 1, tokens => 1);
is(header($r, 'x-ratelimit-remaining-requests'), 2, 'unknown model: took no request');
is(header($r, 'x-ratelimit-remaining-tokens'), 1000 - 6, 'unknown model: nor tokens');

# spent

# 0.1: 100 tokens. The first reserves 1 + 4 + 90, and uses 21.
my %request = (client => 'month', max => 90, tokens => 20);
is(status(complete(%request)), 200, 'a budget: what may be needed is there');
$r = complete(%request);
is(status($r), 429, 'a budget: what may be needed is more than what is left');
is_deeply([@{content_json($r)->{error}}{qw/type code param/}],
	['insufficient_quota', 'insufficient_quota', undef], 'a budget: insufficient_quota');
is(header($r, 'x-should-retry'), 'false', 'a budget: no use to try again soon');
ok_until($r, 'month', 'a budget');
is(status(complete(%request, max => 74)), 200, 'what was not used was given back: all that is left fits');
is(status(complete(%request, max => 54)), 429, 'and not a token more');
is(status(complete(%request, max => 53, tokens => 53)), 200, 'all that is left');
is(status(complete(%request, max => 1)), 429, 'and what little is left then fits nothing');

my ($spent, $left);
poll {
	my @lines = grep { ($_->{client} // '') eq 'month' } audit_lines($t, 'audit.log', 1);
	$spent = 0;
	$spent += $_->{cost} // 0 for @lines;
	$left = $lines[-1]{remaining};
	@lines == 6;
};
is(sprintf('%.9f', $spent), '0.096000000', 'the log: all of it, and no more');
is(sprintf('%.9f', $left), '0.004000000', 'the log: what is left');

is(status(complete(client => 'exact', max => 95, tokens => 95)), 200, 'exactly the whole budget');
is(status(complete(client => 'exact', model => 'gratis', max => 1)), 200, 'what costs nothing passes');
is(status(complete(client => 'exact', model => 'llama-1', max => 1)), 200, 'what costs little passes');

is(status(complete(client => 'small', max => 5, tokens => 5)), 200, 'a budget for one request');
is(status(complete(client => 'small', max => 5, tokens => 5)), 429, 'and no second one');
is(status(complete(client => 'small-2', max => 5, tokens => 5)), 200, 'another client has its own');

$r = complete(client => 'small-3', uri => '/refuse/v1/completions', max => 6);
is(status($r), 429, 'more than the whole budget');
is(header($r, 'x-should-retry'), 'false', 'more than the whole budget: no use to try again');
is(header($r, 'Retry-After'), undef, 'more than the whole budget: ever');
is(status(complete(client => 'small-3', max => 6)), 200,
	'more than the whole budget: passes while nothing is spent, where that may make a debt');

# More used than reserved is charged, too: a stream without a bound.
complete(client => 'stream', tokens => 16) for 1 .. 3;
is(status(complete(client => 'stream', tokens => 60, stream => 1)), 200, 'more used than reserved');
is(status(complete(client => 'stream', model => 'tiny', max => 1)), 429, 'overdrawn: nothing passes');

# given back

is(status(complete(client => 'failing', max => 90, lines => ['X-Mock-Status: 500'])), 500, 'an error');
is(status(complete(client => 'failing', max => 90, uri => '/dead/v1/completions')), 502, 'no engine');
is(status(complete(client => 'failing', max => 95, tokens => 5)), 200, 'both cost nothing');

my ($held, $head) = hold(client => 'failing', max => 85, tokens => 10);
is(status($head), 200, 'a stream under way');
is(status(complete(client => 'failing', max => 85)), 429, 'is reserved');
$held->close();
is((poll { status(complete(client => 'failing', model => 'mock', max => 70, tokens => 1)) == 200 }), 1,
	'when the client leaves, what was not used is given back');

# hour, day, month

for (
	# Client, output of each of its requests, who passes, until when the last of them has to wait.
	['hour', 5, '200 429', 'hour'],
	['day', 5, '200 429', 'day'],
	['all', 5, '200 429', 'hour'],
	['both', 5, '200 429', 'month'],
) {
	my ($client, $max, $expected, $period) = @$_;
	SKIP: {
		my $hour = int(time() / 3600);
		my @answers = map { complete(client => $client, max => $max, tokens => $max) } 1 .. 2;
		skip 'the hour has just turned', 2 if int(time() / 3600) != $hour;
		is(join(' ', map { status($_) } @answers), $expected, "$client: who passes");
		ok_until($answers[-1], $period, $client);
	}
}

# blocks and rules

is(status(complete(client => 'block', max => 15, tokens => 15)), 200, 'a block: 0.02');
is(status(complete(client => 'block', max => 15, tokens => 15)), 429, 'a block: is spent');
is(status(complete(client => 'block', model => 'tiny', max => 15)), 200, 'a block: others are free');

my @purse = (uri => '/purse/v1/completions');
is(status(complete(client => 'open', @purse, max => 90, tokens => 70)), 200, 'a rule: 0.1 for all');
$r = complete(client => 'open-2', @purse, max => 50);
is(status($r), 429, 'a rule: is spent for all');
is(content_json($r)->{error}{code}, 'insufficient_quota', 'a rule: insufficient_quota');
is(header($r, 'x-should-retry'), 'false', 'a rule: no use to try again');
is(status(complete(client => 'open-2', @purse, max => 24, tokens => 24)), 200, 'a rule: less passes');
is(status(complete(client => 'open-2', max => 50)), 200, 'a rule: not elsewhere');
is(status(complete(client => 'open', uri => '/model/v1/completions', max => 15, tokens => 15)), 200,
	'by model: 0.02');
is(status(complete(client => 'open-2', uri => '/model/v1/completions', max => 15)), 429,
	'by model: is spent');
is(status(complete(client => 'open-2', uri => '/model/v1/completions', model => 'cached', max => 15)), 200,
	'by model: another one');

# with other limits

is(status(complete(client => 'mixed', max => 990)), 429, 'refused by the budget');
$r = complete(client => 'mixed', max => 1, tokens => 1);
is(header($r, 'x-ratelimit-remaining-requests'), 1, 'the budget refused: no request was taken');
is(header($r, 'x-ratelimit-remaining-tokens'), 1000 - 2 - 6, 'the budget refused: nor tokens');

# dry_run

my @dry = (client => 'dry', uri => '/dry/v1/completions', max => 95);
complete(@dry, tokens => 90);
$r = complete(@dry, tokens => 5);
is(status($r), 200, 'dry_run: more than there is passes');
$r = complete(@dry, model => 'unknown');
is(status($r), 200, 'dry_run: a model without a price as well');
poll { (grep { ($_->{dry_run} // 0) } audit_lines($t, 'audit.log', 1)) == 3 };
is(join(' ', map { $_->{reason} // $_->{decision} } grep { $_->{dry_run} } audit_lines($t, 'audit.log', 1)),
	'allow budget_exceeded model_denied', 'dry_run: and is logged');

# nginx -t

my @no_price = ('"budget" of "', 'needs prices', 'add "tollgate_price');
for (
	['no prices, a tier', 's', 'tollgate_tier one { budget 1/day; }', ''],
	['no prices, a block', 's', 'tollgate_tier one { model m { budget 1/day; } }', ''],
	['no prices, a rule', 's', 'tollgate_limit one key=a budget=1/day;', 'tollgate_apply one;'],
	['a default price', '', 'tollgate_tier one { budget 1/day; default_price input=1 output=1; }', ''],
	['a price', '', 'tollgate_price m input=1 output=1; tollgate_tier one { budget 1/day; }', ''],
) {
	my ($name, $fails, $http, $location) = @$_;
	my ($status, $output) = configtest($t, test_conf($http, $location));
	my @missing = grep { $fails && index($output, $_) < 0 } @no_price, 'test.conf:';
	is_deeply([$status != 0 ? 's' : '', @missing], [$fails], "nginx -t: $name") or diag($output);
}

for (
	['a period that is none', 'budget 1/week;', 'invalid amount "1/week" of "budget"'],
	['no period', 'budget 1;', 'invalid amount "1" of "budget"'],
	['nothing', 'budget 0/day;', 'must not be zero'],
	['too precise', 'budget 0.0000000001/day;', 'too many decimals'],
	['too much', 'budget 1000000000/day;', 'is too large'],
	['twice', 'budget 1/day; budget 2/day;', 'given twice for the same period'],
	['a burst', 'budget 1/day burst=2;', 'invalid parameter "burst=2" of "budget"'],
) {
	my ($name, $limit, $message) = @$_;
	my ($status, $output) = configtest($t,
		test_conf("tollgate_price m input=1 output=1; tollgate_tier one { $limit }", ''));
	ok($status != 0 && index($output, $message) >= 0, "nginx -t: $name") or diag($output);
}

###############################################################################

my $request_id;

# A configuration with these lines in http and location.
sub test_conf {
	my ($http, $location) = @_;
	return <<"EOC";
%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;
    tollgate_tier other { }
    $http

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys test.json;
        tollgate_default_tier other;
        $location
    }
}
EOC
}

# What log and variable say that this request cost; undef: nothing.
sub costs {
	my ($t, $cost, $name, %options) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$options{client} //= 'open';
	my $id = 'cost-' . ++$request_id;
	push @{$options{lines}}, "X-Request-ID: $id";
	complete(%options);
	my ($line, $variable);
	poll {
		($line) = $t->read_file('audit.log') =~ /^(.*"\Q$id\E".*)$/m;
		($variable) = $t->read_file('cost.log') =~ /^\Q$id\E:(.*):$/m;
		defined $line && defined $variable;
	};
	# As it is written: a number would lose digits.
	is(($line =~ /"cost":([^,]*)/)[0], $cost, $name);
	is($variable, $cost // '-', "$name: \$tollgate_cost");
}

# Whether the wait is until the end of that period, in UTC.
sub ok_until {
	my ($response, $period, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $now = time();
	my (undef, undef, undef, undef, $month, $year) = gmtime $now;
	my $end = {
		hour => (int($now / 3600) + 1) * 3600,
		day => (int($now / 86400) + 1) * 86400,
		month => timegm(0, 0, 0, 1, ($month + 1) % 12, $year + int(($month + 1) / 12)),
	}->{$period};
	my $told = header($response, 'Retry-After') // 0;
	# A minute for a slow machine.
	ok($told >= $end - $now && $told <= $end - $now + 60,
		"$name: Retry-After is until the end of the $period");
}

###############################################################################
