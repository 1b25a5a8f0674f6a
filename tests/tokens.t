#!/usr/bin/perl

# Limits on LLM tokens: what a request reserves, that it is settled by what the engine really used,
# and that a refusal takes nothing from anywhere.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header hs256 keys_file status/;
use Tollgate::Client;
use Tollgate::Engine;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

# None of these buckets refills a whole token during the test.
my $t = Test::Nginx->new()->has(qw/http proxy realip/)->plan(85)
	->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    set_real_ip_from 127.0.0.1;
    real_ip_header   X-Real-IP;

    tollgate_zone zone=tollgate:1m;

    tollgate_tier open    { }
    tollgate_tier total   { tokens 100/d burst=1000; }
    tollgate_tier wide    { tokens 100/d burst=30k; }
    tollgate_tier wide2   { tokens 100/d burst=30k; }
    tollgate_tier input   { input_tokens 100/d burst=100; }
    tollgate_tier output  { output_tokens 100/d burst=100; }
    tollgate_tier three {
        tokens        100/d burst=1000;
        input_tokens  100/d burst=100;
        output_tokens 100/d burst=200;
    }
    tollgate_tier periods {
        tokens 100/d burst=1000;
        tokens 10/h burst=100;
    }
    tollgate_tier both {
        requests 10r/h;
        tokens   100/d burst=100;
    }
    tollgate_tier two {
        requests 2r/h;
    }
    tollgate_tier blocks {
        tokens 100/d burst=1000;
        model big-* { tokens 100/d burst=100; }
        model *-b   { tokens 100/d burst=50; }
        model in    { input_tokens 100/d burst=50; output_tokens 100/d burst=60; }
        model once  { requests 1r/h; }
    }

    tollgate_limit address key=$binary_remote_addr tokens=100/d burst=100;
    tollgate_limit model   key=$tollgate_model tokens=100/d burst=100;
    tollgate_limit tenant  key=$tollgate_tenant tokens=100/d burst=100;
    tollgate_limit sides   key=$tollgate_client input_tokens=100/d burst=50 output_tokens=100/d burst=60;
    tollgate_limit shared  key=all tokens=100/d burst=100;

    tollgate_audit_log audit.log;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /address/ {
            tollgate_apply address;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /model/ {
            tollgate_apply model;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /tenant/ {
            tollgate_auth jwt;
            tollgate_jwt_key_file secret;
            tollgate_jwt_claim tenant org;
            tollgate_default_tier open;
            tollgate_apply tenant;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /sides/ {
            tollgate_apply sides;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /shared/ {
            tollgate_apply shared;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /estimate/ {
            tollgate_estimate output=50 bytes_per_token=1;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /estimate/2/ {
            tollgate_estimate bytes_per_token=2;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /dead/ {
            proxy_pass http://127.0.0.1:8082/;
        }
    }
}

EOC

my $secret = '0123456789abcdef0123456789abcdef';
my %tiers = (
	total => [qw/total total-2 free get error n chat-1 chat-2 small/],
	wide => [qw/wide learn bytes-1 bytes-2 bounded/],
	wide2 => [qw/learn-2/],
	input => [qw/input/],
	output => [qw/output/],
	three => [qw/three/],
	periods => [qw/periods/],
	both => [qw/both/],
	two => [qw/two/],
	blocks => [qw/blocks blocks-2/],
	open => [qw/open open-2/],
);
$t->write_file('secret', $secret);
$t->write_file('keys.json', keys_file(map {
	my $tier = $_;
	map { { key => "key-$_", client => $_, tier => $tier } } @{$tiers{$tier}};
} sort keys %tiers));
start_engine($t, 8081);
$t->run();

###############################################################################

# tokens: input and output together

my %small = (input => 10, max => 20, tokens => 5);
is(remaining(client => 'total', %small), 1000 - reserved(%small), 'tokens: what it may take is reserved');
is(remaining(client => 'total', %small), 1000 - 15 - reserved(%small),
	'tokens: what it used counts, the rest is given back');
is(remaining(client => 'total-2', %small), 1000 - reserved(%small), 'tokens: each client has its own');

my %large = (input => 100, max => 500, tokens => 500);
is(remaining(client => 'total', %large), 1000 - 30 - reserved(%large), 'tokens: a large request');
my $r = complete(client => 'total', %large);
is(status($r), 429, 'tokens: and no second one');
like($r, qr/"type":"tokens","param":null,"code":"rate_limit_exceeded"/, 'tokens: says what is spent');
is(remaining(client => 'total', %small), 1000 - 630 - reserved(%small),
	'tokens: what was refused took nothing, and less passes');

# input_tokens, output_tokens

is(remaining(client => 'input', input => 60, max => 5000), 36, 'input_tokens: the prompt is reserved');
is(status(complete(client => 'input', input => 60, max => 1)), 429, 'input_tokens: no second prompt');
is(remaining(client => 'input', input => 36, max => 5000), 0, 'input_tokens: the rest fits exactly');

is(remaining(client => 'output', input => 5000, max => 60, tokens => 60), 40,
	'output_tokens: the bound is reserved');
is(status(complete(client => 'output', max => 41)), 429, 'output_tokens: no more than is left');
is(remaining(client => 'output', max => 40, tokens => 40), 0, 'output_tokens: the rest fits exactly');

is(remaining(client => 'three', input => 10, max => 20, tokens => 20), 86,
	'three limits: what has least left is told');
is(remaining(client => 'three', input => 10, max => 150, tokens => 150), 30,
	'three limits: that is another one now');
is(status(complete(client => 'three', input => 10, max => 31)), 429, 'three limits: each refuses');
is(remaining(client => 'three', input => 10, max => 30, tokens => 30), 0,
	'three limits: together they let pass');

is(remaining(client => 'periods', input => 6, max => 80, tokens => 80), 10, 'two periods: the tighter one');
is(status(complete(client => 'periods', max => 80)), 429, 'two periods: which refuses');

# model blocks

my %thirty = (input => 10, max => 20, tokens => 20);
my $thirty = reserved(%thirty);
is(remaining(client => 'blocks', model => 'big-a', %thirty), 100 - $thirty, 'a block: its limit');
is(remaining(client => 'blocks', model => 'big-b', %thirty), 70 - $thirty,
	'a block: all of its models share it, and the first that fits holds');
is(remaining(client => 'blocks', model => 'small-b', %thirty), 50 - $thirty, 'a block: another one');
is(remaining(client => 'blocks', model => 'mock', %thirty), 1000 - 90 - $thirty,
	'a block: not for other models; and the tier counts all of them');
is(remaining(client => 'blocks-2', model => 'big-a', %thirty), 100 - $thirty,
	'a block: each client has its own');
is(status(complete(client => 'blocks', model => 'big-a', max => 60)), 429, 'a block: spent');
is(remaining(client => 'blocks', model => 'mock', %thirty), 1000 - 120 - $thirty,
	'a block: what it refuses, the tier does not count');
is(remaining(client => 'blocks', model => 'in', %thirty), 36, 'a block: input_tokens');
is(remaining(client => 'blocks', model => 'in', max => 40, tokens => 40), 0, 'a block: output_tokens');
is(status(complete(client => 'blocks', model => 'once', %thirty)), 200, 'a block: requests');
is(status(complete(client => 'blocks', model => 'once', %thirty)), 429, 'a block: no more requests');

# rules

my @first = (uri => '/address/v1/completions', lines => ['X-Real-IP: 192.0.2.1']);
my @second = (uri => '/address/v1/completions', lines => ['X-Real-IP: 192.0.2.2']);
is(remaining(client => 'open', @first, %thirty), 100 - $thirty, 'by address');
is(remaining(client => 'open-2', @first, %thirty), 70 - $thirty, 'by address: whoever is behind it');
is(status(complete(client => 'open', @first, max => 60)), 429, 'by address: spent');
is(remaining(client => 'open', @second, %thirty), 100 - $thirty, 'by address: another one');

my @model = (uri => '/model/v1/completions');
is(remaining(client => 'open', @model, model => 'one', %thirty), 100 - $thirty, 'by model');
is(remaining(client => 'open-2', @model, model => 'one', %thirty), 70 - $thirty,
	'by model: whoever asks for it');
is(status(complete(client => 'open', @model, model => 'one', max => 60)), 429, 'by model: spent');
is(remaining(client => 'open', @model, model => 'two', %thirty), 100 - $thirty, 'by model: another one');

is(remaining(tenant('a', 'x'), %thirty), 100 - $thirty, 'by tenant');
is(remaining(tenant('b', 'x'), %thirty), 70 - $thirty, 'by tenant: its other client');
is(status(complete(tenant('a', 'x'), max => 60)), 429, 'by tenant: spent');
is(remaining(tenant('a', 'y'), %thirty), 100 - $thirty, 'by tenant: another one');

is(remaining(client => 'open', uri => '/sides/v1/completions', %thirty), 36, 'a rule on the input');
is(remaining(client => 'open', uri => '/sides/v1/completions', max => 40, tokens => 40), 0,
	'a rule on the output');

# what is reserved

is(remaining(client => 'n', input => 10, max => 20, body => { n => 3 }), 1000 - 14 - 60,
	'each of several choices may take its bound');
is(remaining(client => 'n', input => 10, max => 20, tokens => 20), 1000 - 10 - 48 - 34,
	'and what they used counts, the prompt once');

my %chat = (uri => '/v1/chat/completions', body => { messages => [{ role => 'user', content => 'hi' }] });
my $bounded = remaining(client => 'chat-1', %chat, max => 70);
$chat{body}{max_completion_tokens} = 70;
is(remaining(client => 'chat-2', %chat), $bounded, 'max_completion_tokens is a bound');

is(remaining(client => 'wide', input => 10), 30_000 - 14 - 1024, 'without a bound, a default');
is(remaining(client => 'bytes-1', model => 'new', uri => '/estimate/v1/completions',
	body => { prompt => 'x' x 100 }), 30_000 - 104 - 50, 'a default that the operator gives; each byte of the prompt a token');
is(remaining(client => 'bytes-2', uri => '/estimate/2/v1/completions', max => 1,
	body => { prompt => 'x' x 100 }), 30_000 - 54 - 1, 'every two bytes of the prompt a token');

# what is learned

my %ten = (client => 'learn', model => 'learned', tokens => 10);
is(output_reserved(%ten), 1024, 'a model of which nothing is known');
complete(%ten) for 1 .. 5;
my $learned = output_reserved(%ten);
cmp_ok($learned, '<=', 15, 'after some answers about as much is reserved as they took');
cmp_ok($learned, '>=', 10, 'and not less');
complete(%ten, tokens => 200) for 1 .. 20;
$learned = output_reserved(%ten, tokens => 200);
cmp_ok($learned, '>=', 180, 'it grows with the answers');
cmp_ok($learned, '<=', 300, 'and not far beyond');
is(output_reserved(%ten, max => 7), 7, "the request's own bound counts all the same");
is(output_reserved(%ten, model => 'other'), 1024, 'each model is learned apart');
is(output_reserved(%ten, client => 'learn-2'), 1024, 'and each tier');
is(output_reserved(%ten, client => 'wide'), 1024, 'and one client teaches only itself');

complete(client => 'bounded', model => 'bounded', max => 30, tokens => 20) for 1 .. 3;
is(output_reserved(client => 'bounded', model => 'bounded'), 1024,
	'an answer with a bound says nothing about those without');
complete(client => 'bounded', model => 'bounded', max => 3000, tokens => 3000) for 1 .. 3;
cmp_ok(output_reserved(client => 'bounded', model => 'bounded'), '>', 1500,
	'but that there can be so much');

# all or nothing

my $all = sub { return map { header($_[0], "x-ratelimit-remaining-$_") } qw/requests tokens/ };
is_deeply([$all->(complete(client => 'both', %thirty))], [9, 100 - $thirty], 'requests and tokens');
is(status(complete(client => 'both', max => 90)), 429, 'refused by tokens');
$r = complete(client => 'both', max => 90);
is_deeply([$all->($r)], [9, 70], 'a refusal by tokens takes no request, and tells of both');
is_deeply([$all->(complete(client => 'both', %thirty))], [8, 70 - $thirty],
	'what passes takes both');

my @shared = (uri => '/shared/v1/completions');
is(remaining(client => 'two', @shared, max => 10, tokens => 10), 100 - 15, 'a rule for all');
is(remaining(client => 'two', @shared, max => 10, tokens => 10), 89 - 15, 'the last request of a client');
is(status(complete(client => 'two', @shared, max => 10)), 429, 'refused by requests');
is(remaining(client => 'open', @shared, max => 10, tokens => 10), 78 - 15,
	'a refusal by the tier takes no tokens of the rule');

$r = complete(client => 'total-2', @shared, max => 80);
is(status($r), 429, 'refused by a rule');
is(remaining(client => 'total-2', %small), 1000 - 15 - reserved(%small),
	'a refusal by a rule takes nothing of the tier');

# nothing is used

is(status(complete(client => 'error', %large, lines => ['X-Mock-Status: 500'])), 500, 'the engine fails');
is(remaining(client => 'error', %small), 1000 - reserved(%small), 'what failed took no tokens');
is(status(complete(client => 'error', %large, uri => '/dead/v1/completions')), 502, 'no engine');
is(remaining(client => 'error', %small), 1000 - 15 - reserved(%small), 'nor what never got there');

is(status(complete(client => 'total', input => 10, max => 5000)), 429, 'more than there can be, of a used bucket');
is(status(http("GET /v1/models HTTP/1.0\r\nHost: localhost\r\nX-API-Key: key-get\r\n\r\n")), 200,
	'a request without tokens');
is(remaining(client => 'get', %small), 1000 - reserved(%small), 'takes none');

# An embedding has no output.
$r = complete(client => 'free', uri => '/v1/embeddings', body => { input => [1 .. 50], prompt => undef });
is(header($r, 'x-ratelimit-remaining-tokens'), 1000 - 54, 'embeddings reserve their input');
is(remaining(client => 'free', %small), 1000 - 50 - reserved(%small), 'and are charged by it');

# the smallest

is(remaining(client => 'small', input => 1, max => 1, tokens => 1), 1000 - 6, 'one token');
is(remaining(client => 'small', input => 1, max => 1, tokens => 1), 1000 - 2 - 6, 'two are used');

# the log

my ($line) = audit_lines($t, 'audit.log', 1);
is_deeply([@{$line}{qw/usage input_tokens output_tokens limit remaining/}],
	['measured', 10, 5, 'tokens 100/d burst=1000', 1000 - reserved(%small)],
	'the log tells of use and limit');
my ($refused) = grep { ($_->{reason} // '') eq 'tokens_exceeded' } audit_lines($t, 'audit.log', 1);
is_deeply([@{$refused}{qw/decision status limit remaining/}],
	['deny', 429, 'tokens 100/d burst=1000', 370], 'a refusal as well');
is($refused->{usage}, 'none', 'which used nothing');

###############################################################################

sub remaining {
	return header(complete(@_), 'x-ratelimit-remaining-tokens');
}

# The output that a request of one token of input reserves.
sub output_reserved {
	my (%options) = @_;
	my %probe = (client => $options{client}, model => 'probe', max => 1, tokens => 1);
	# The probe reserved 6, and used 2.
	my $left = remaining(%probe) + 4;
	return $left - remaining(%options) - reserved(max => 0);
}

sub tenant {
	my ($client, $tenant) = @_;
	my $token = hs256($secret, { sub => $client, org => $tenant, exp => 4_000_000_000 });
	return (uri => '/tenant/v1/completions', lines => ["Authorization: Bearer $token"]);
}

###############################################################################
