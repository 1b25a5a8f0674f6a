#!/usr/bin/perl

# Limits per tenant: its clients share them, whatever limits each has of its own. Other tenants don't notice, and
# whoever has no tenant is under none.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get keys_file status/;
use Tollgate::Client;
use Tollgate::Engine;

use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http map proxy rewrite/)->plan(37);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;
    tollgate_tier  open { requests 1000r/h; }
    tollgate_tier  few  { requests 1r/h; }

    # a unit for each token
    tollgate_price  mock input=1000000 output=1000000;

    map $tollgate_tenant $group {
        ''       nobody;
        default  $tollgate_tenant;
    }

    tollgate_limit  requests  key=$tollgate_tenant requests=3r/h;
    tollgate_limit  tokens    key=$tollgate_tenant tokens=100/d;
    tollgate_limit  money     key=$tollgate_tenant budget=100/month;
    tollgate_limit  flight    key=$tollgate_tenant concurrency=2;
    tollgate_limit  grouped   key=$group requests=2r/h;

    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate         on;
        proxy_buffering  off;

        location /requests/ {
            tollgate_apply  requests;
            proxy_pass      http://127.0.0.1:8081/;
        }

        location /tokens/ {
            tollgate_apply  tokens;
            proxy_pass      http://127.0.0.1:8081/;
        }

        location /money/ {
            tollgate_apply  money;
            proxy_pass      http://127.0.0.1:8081/;
        }

        location /flight/ {
            tollgate_apply  flight;
            proxy_pass      http://127.0.0.1:8081/;
        }

        location /grouped/ {
            tollgate_apply  grouped;
            proxy_pass      http://127.0.0.1:8081/;
        }
    }
}

EOC

my @keys = map {
	my ($client, $tenant, $tier) = @$_;
	{ key => "key-$client", client => $client, tier => $tier // 'open', defined $tenant ? (tenant => $tenant) : () };
} (['alice', 'acme'], ['bob', 'acme'], ['carol', 'globex'], ['dave'], ['erin'], ['acme'], ['frank', 'acme', 'few']);
$t->write_file('keys.json', keys_file(@keys));
start_engine($t, 8081);
$t->run();

###############################################################################

# requests

my $models = sub { status(get("/$_[0]/v1/models", "X-API-Key: key-$_[1]")) };
is(join(' ', map { $models->('requests', $_) } qw/alice bob alice bob alice/), '200 200 200 429 429',
	'requests of two clients');
is(join(' ', map { $models->('requests', 'carol') } 1 .. 4), '200 200 200 429', 'requests of another tenant');
is(join(' ', map { $models->('requests', 'dave') } 1 .. 6), '200 ' x 5 . '200', 'requests without a tenant');
is(join(' ', map { $models->('requests', 'acme') } 1 .. 4), '200 ' x 3 . '200',
	'requests of a client who is called as a tenant is');
my $r = get('/requests/v1/models', 'X-API-Key: key-bob');
like($r, qr/^Retry-After: \d+\r$/mi, 'requests, when to come again');
is(last_line($t, 'bob')->{limit}, 'requests requests 3r/h', 'requests, the limit in the log');
is(last_line($t, 'bob')->{tenant}, 'acme', 'requests, and whose it was');

# one of its own beside it

is(join(' ', map { $models->('grouped', $_) } qw/frank frank alice/), '200 429 200',
	'what a limit of the client refuses takes nothing of its tenant');
is(join(' ', map { $models->('grouped', $_) } qw/bob carol dave erin dave/), '429 200 200 200 429',
	'a map gives those a group who have no tenant');

# tokens: reserved, settled, and shared

is(status(complete(uri => '/tokens/v1/completions', client => 'alice', input => 10, max => 20, tokens => 16)), 200,
	'tokens of one client');
# 10 and 16 were taken.
is(status(complete(uri => '/tokens/v1/completions', client => 'bob', input => 10, max => 70)), 429,
	'tokens of another one, too many');
is(status(complete(uri => '/tokens/v1/completions', client => 'bob', input => 10, max => 50, tokens => 1)), 200,
	'tokens of another one, settled');
for my $client (qw/carol dave/) {
	is(status(complete(uri => '/tokens/v1/completions', client => $client, input => 10, max => 70)), 200,
		"tokens of $client");
}

# money

is(status(complete(uri => '/money/v1/completions', client => 'alice', input => 10, max => 50, tokens => 50)), 200,
	'money of one client');
is(status(complete(uri => '/money/v1/completions', client => 'bob', input => 1, max => 30, tokens => 30)), 200,
	'money of another one');
for my $client (qw/alice bob/) {
	$r = complete(uri => '/money/v1/completions', client => $client, input => 10, max => 20);
	is(status($r), 429, "money is spent, $client");
	like($r, qr/"insufficient_quota"/, "money is spent, $client, error");
}
for my $client (qw/carol dave/) {
	is(status(complete(uri => '/money/v1/completions', client => $client, input => 10, max => 20)), 200,
		"money of $client");
}
is(last_line($t, 'bob')->{limit}, 'money budget 100/month', 'money, the limit in the log');

# in flight

my ($one, $head) = hold(uri => '/flight/v1/completions', client => 'alice');
is(status($head), 200, 'in flight, one client');
(my $two, $head) = hold(uri => '/flight/v1/completions', client => 'bob');
is(status($head), 200, 'in flight, another one');
for my $client (qw/alice bob/) {
	is(status(complete(uri => '/flight/v1/completions', client => $client)), 429, "in flight, no more, $client");
}
for my $client (qw/carol dave/) {
	is(status(complete(uri => '/flight/v1/completions', client => $client)), 200, "in flight, $client");
}
$one->close();
my $status;
poll { ($status = status(complete(uri => '/flight/v1/completions', client => 'bob'))) == 200 };
is($status, 200, 'in flight, a place that its neighbour has left');
$two->close();

# after a reload as before

$t->reload();
my $spent;
poll { ($spent = $models->('requests', 'bob')) == 429 };
is($spent, 429, 'after a reload');
is($models->('requests', 'dave'), 200, 'after a reload, without a tenant');

# a client that changes its tenant takes nothing along, and leaves what it has spent

my $text = $t->read_file('keys.json');
$text =~ s/("client":"bob".*?"tenant":)"acme"/$1"initech"/ or die "No bob\n";
$t->write_file('keys.json.new', $text);
rename $t->testdir() . '/keys.json.new', $t->testdir() . '/keys.json';
poll { ($status = $models->('requests', 'bob')) == 200 };
is($status, 200, 'of another tenant now');
is($models->('requests', 'alice'), 429, 'its old one has not got anything back');

$t->stop();
my @lines = map { JSON::PP->new->utf8->decode($_) } split /\n/, $t->read_file('audit.log');
my %tenants;
$tenants{$_->{client}}{$_->{tenant} // ''}++ for @lines;
is(join(' ', sort keys %{$tenants{bob}}), 'acme initech', 'the log has the tenant of its time');
is(join(' ', keys %{$tenants{dave}}), '', 'the log has none of who has none');

SKIP: {
	skip 'no command: set TOLLGATE_CLI', 1 unless -x ($ENV{TOLLGATE_CLI} // '');
	my $log = $t->testdir() . '/audit.log';
	my $rows = JSON::PP->new->utf8->decode(scalar `$ENV{TOLLGATE_CLI} audit report --by tenant --json $log`);
	my %cost = map { ($_->{name} // '') => $_->{cost} } @{$rows->{groups}};
	ok($cost{acme} >= 91 && $cost{globex} < 91, 'the report puts them together') or diag(explain($rows));
}

###############################################################################

# The last line in the log, of this client if it is given.
sub last_line {
	my ($t, $client) = @_;
	my $line;
	poll {
		my $text = eval { $t->read_file('audit.log') } // '';
		my @lines = grep { /"decision":"deny"/ && (!defined $client || /"client":"$client"/) }
			$text =~ /^(.*)\n/mg;
		$line = $lines[-1];
	};
	return JSON::PP->new->utf8->decode($line // '{}');
}

###############################################################################
