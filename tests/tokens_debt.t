#!/usr/bin/perl

# A request may be larger than what a bucket holds, or turn out larger than it looked. Then the bucket
# is in debt, and whoever comes next waits until that is refilled; Retry-After says how long.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header keys_file status/;
use Tollgate::Client;
use Tollgate::Engine;
use Tollgate::RetryAfter;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(53 + 5 * RETRY_AFTER_TESTS)
	->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;

    # A token in 864 seconds.
    tollgate_tier deep { tokens 100/d burst=100; }
    tollgate_tier input { input_tokens 100/d burst=100; }
    tollgate_tier output { output_tokens 100/d burst=100; }
    tollgate_tier block { model big { tokens 100/d burst=100; } }
    tollgate_tier quick { tokens 200/s burst=100; }
    tollgate_tier several { tokens 100/s burst=150; input_tokens 100/s burst=50; }
    tollgate_tier tight { tokens 100/h burst=100; input_tokens 100/d burst=100; }
    tollgate_tier requests { requests 1r/h; tokens 100/s burst=100; }
    tollgate_tier open { }

    tollgate_limit rule key=$tollgate_client tokens=100/d burst=100;
    tollgate_limit quick key=all tokens=200/s burst=100;

    tollgate_audit_log audit.log;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;
        tollgate_estimate output=10;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /rule/ {
            tollgate_apply rule;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /quick/ {
            tollgate_apply quick;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /refuse/ {
            tollgate_oversized refuse;
            proxy_pass http://127.0.0.1:8081/;

            location /refuse/rule/ {
                tollgate_apply rule;
                proxy_pass http://127.0.0.1:8081/;
            }

            location /refuse/debt/ {
                tollgate_oversized debt;
                proxy_pass http://127.0.0.1:8081/;
            }
        }
    }
}

EOC

my %tiers = (
	deep => [qw/deep used stream more block-2 refuse debt-2 dialect/],
	input => [qw/input refuse-input/],
	output => [qw/output refuse-output/],
	block => [qw/block refuse-block/],
	quick => [qw/quick quick-2 quick-3/],
	several => ['several'],
	tight => ['tight'],
	requests => ['requests'],
	open => [qw/rule refuse-rule open/],
);
$t->write_file('keys.json', keys_file(map {
	my $tier = $_;
	map { { key => "key-$_", client => $_, tier => $tier } } @{$tiers{$tier}};
} sort keys %tiers));
start_engine($t, 8081);
$t->run();

###############################################################################

use constant TOKEN => 864;

# larger than the bucket

my %huge = (input => 1, max => 145, tokens => 145);
my %small = (input => 1, max => 5, tokens => 5);

my $r = complete(client => 'deep', %huge);
is(status($r), 200, 'a full bucket lets a request pass that is larger than it');
is(header($r, 'x-ratelimit-remaining-tokens'), 0, 'nothing is left then');
is(header($r, 'x-ratelimit-limit-tokens'), 100, 'of what the bucket holds');

$r = complete(client => 'deep', %small);
is(status($r), 429, 'a debt: the smallest request waits');
# 146 were used; 90 may be for 10 to pass.
is_wait($r, 56 * TOKEN, 'a debt');
is(header($r, 'x-should-retry'), undef, 'a debt: it makes sense to try again');
is(header($r, 'x-ratelimit-remaining-tokens'), 0, 'a debt: nothing is left');
like(header($r, 'x-ratelimit-reset-tokens'), qr/^35h[012]m/, 'a debt: it counts until the bucket is full');
is_wait(complete(client => 'deep', %huge), 146 * TOKEN, 'a debt: the same request again');

$r = complete(client => 'used', %small);
is(status($r), 200, 'a bucket that is in use');
$r = complete(client => 'used', %huge);
is(status($r), 429, 'lets nothing pass that is larger than it');
is_wait($r, 6 * TOKEN, 'until it is full');
$r = complete(client => 'used', %small);
is(status($r), 200, 'what fits passes meanwhile');
is(header($r, 'x-ratelimit-remaining-tokens'), 100 - 6 - 10, 'and what was refused took nothing');

is(status(complete(client => 'input', input => 200, max => 1)), 200, 'input_tokens: a large prompt');
is_wait(complete(client => 'input', input => 6, max => 1), 110 * TOKEN, 'input_tokens');
is(status(complete(client => 'output', max => 150, tokens => 150)), 200, 'output_tokens: a large bound');
is_wait(complete(client => 'output', max => 10), 60 * TOKEN, 'output_tokens');
is(status(complete(client => 'block', model => 'big', %huge)), 200, 'a block: a large request');
is_wait(complete(client => 'block', model => 'big', %small), 56 * TOKEN, 'a block');
is(status(complete(client => 'block', model => 'other', %huge)), 200, 'a block: other models are free');
is(status(complete(client => 'rule', uri => '/rule/v1/completions', %huge)), 200, 'a rule: a large request');
is_wait(complete(client => 'rule', uri => '/rule/v1/completions', %small), 56 * TOKEN, 'a rule');
is(status(complete(client => 'open', uri => '/rule/v1/completions', %small)), 200, 'a rule: others are free');

# more used than reserved

$r = complete(client => 'more', input => 1, tokens => 200, model => 'more');
is(header($r, 'x-ratelimit-remaining-tokens'), 100 - 15, 'a request without a bound');
# 201 were used.
is_wait(complete(client => 'more', %small), 111 * TOKEN, 'what was used beyond the reservation is a debt');

$r = complete(client => 'stream', input => 1, tokens => 200, model => 'streamed', stream => 1);
is(header($r, 'x-ratelimit-remaining-tokens'), 100 - 15, 'a stream without a bound');
is_wait(complete(client => 'stream', %small), 111 * TOKEN, 'a stream');

# refused

my @refuse = (uri => '/refuse/v1/completions');
$r = complete(client => 'refuse', @refuse, %huge);
is(status($r), 429, 'refuse: more than the bucket holds');
is(header($r, 'x-should-retry'), 'false', 'refuse: no reason to try again');
is(header($r, 'Retry-After'), undef, 'refuse: nor a time for it');
is(header($r, 'retry-after-ms'), undef, 'refuse: nor in milliseconds');
is(header($r, 'x-ratelimit-remaining-tokens'), 100, 'refuse: nothing was taken');
is(content_json($r)->{error}{code}, 'rate_limit_exceeded', 'refuse: the code');
is(content_json($r)->{error}{type}, 'tokens', 'refuse: the type');
$r = complete(client => 'refuse', @refuse, input => 1, max => 95, tokens => 95);
is(status($r), 200, 'refuse: all that the bucket holds');
is(header($r, 'x-ratelimit-remaining-tokens'), 0, 'refuse: and not a token more');
$r = complete(client => 'refuse', @refuse, %huge);
is(header($r, 'x-should-retry'), 'false', 'refuse: of a spent bucket, too');

is_over_limit('input_tokens', client => 'refuse-input', @refuse, input => 97, max => 1);
is(status(complete(client => 'refuse-input', @refuse, input => 96, max => 500)), 200,
	'refuse: input_tokens: what fits');
is_over_limit('output_tokens', client => 'refuse-output', @refuse, max => 101);
is(status(complete(client => 'refuse-output', @refuse, input => 500, max => 100)), 200,
	'refuse: output_tokens: what fits');
is_over_limit('a block', client => 'refuse-block', @refuse, model => 'big', max => 96);
is(status(complete(client => 'refuse-block', @refuse, model => 'other', %huge)), 200,
	'refuse: a block: another model');
is_over_limit('a rule', client => 'refuse-rule', uri => '/refuse/rule/v1/completions', max => 96);
is(status(complete(client => 'debt-2', uri => '/refuse/debt/v1/completions', %huge)), 200,
	'refuse: a location inside may allow it');

$r = complete(client => 'dialect', uri => '/refuse/v1/messages', max => 500,
	body => { prompt => undef, messages => [{ role => 'user', content => 'hi' }] });
is(header($r, 'x-should-retry'), 'false', 'refuse: Anthropic');
is(content_json($r)->{error}{type}, 'rate_limit_error', 'refuse: Anthropic: the type');

my ($line) = grep { ($_->{reason} // '') eq 'request_over_limit' } audit_lines($t, 'audit.log', 1);
is_deeply([@{$line}{qw/client status limit remaining/}], ['refuse', 429, 'tokens 100/d', 100],
	'refuse: the log');

# the tightest of several

is(status(complete(client => 'tight', input => 80, max => 1, tokens => 1)), 200, 'two limits');
# 81 of 100 tokens are used, and 80 of 100 of the input, which refills more slowly.
is_wait(complete(client => 'tight', input => 80, max => 1), 64 * TOKEN, 'two limits: the longest wait');
is(status(complete(client => 'requests', %huge)), 200, 'requests and tokens');
$r = complete(client => 'requests', %small);
is_wait($r, 3600, 'requests and tokens: the longest wait');

# the wait is true

my $rule = '/quick/v1/completions';
retry_after_is_true('what fits, behind what does not',
	sub { complete(client => 'quick', %huge) }, sub { complete(client => 'quick', %small) });
retry_after_is_true('what does not fit',
	sub { complete(client => 'quick-2', %huge) }, sub { complete(client => 'quick-2', %huge) });
retry_after_is_true('more used than reserved',
	sub { complete(client => 'quick-3', tokens => 150) },
	sub { complete(client => 'quick-3', %small) });
retry_after_is_true('two limits',
	sub { complete(client => 'several', input => 40, max => 100, tokens => 100) },
	sub { complete(client => 'several', input => 40, max => 1, tokens => 1) });
retry_after_is_true('a rule',
	sub { complete(client => 'open', uri => $rule, %huge) },
	sub { complete(client => 'rule', uri => $rule, %small) });

###############################################################################

# So many seconds, less what has been refilled since the test began.
sub is_wait {
	my ($response, $seconds, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $told = header($response, 'Retry-After') // 0;
	ok(status($response) == 429 && $told <= $seconds && $told > $seconds - 120,
		"$name: Retry-After, $told of $seconds");
}

sub is_over_limit {
	my ($name, @options) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $response = complete(@options);
	is(status($response) . ' ' . (header($response, 'x-should-retry') // ''), '429 false',
		"refuse: $name");
}

###############################################################################
