#!/usr/bin/perl

# tollgate_usage where there are several workers, TLS and crashes: all workers tell the same, what the ratelimit headers
# and the audit log say; and a worker that dies leaves nothing in flight.

use warnings;
use strict;

use Test::More;

use Digest::SHA qw/ sha256_hex /;
use List::Util qw/ sum /;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ get header json status /;
use Tollgate::Certs;
use Tollgate::Client;
use Tollgate::Engine;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

# nginx logs an alert for a worker that was killed.
my $t = Test::Nginx->new()->has(qw/http proxy rewrite http_ssl/)->has_daemon('curl')
	->has_daemon('openssl')->todo_alerts();
$t->plan(23)->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;
    tollgate_price mock input=1000 output=1000;

    tollgate_tier pro  { requests 30r/d burst=1000; tokens 30/d burst=10k; budget 100/month; }
    tollgate_tier free { requests 5r/d; }

    tollgate_api_keys     keys.json;
    tollgate_default_tier free;
    tollgate_audit_log    audit.log;

    tollgate              on;
    proxy_buffering       off;

    server {
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location = /usage {
            tollgate_usage;
        }

        location = /pid {
            tollgate off;
            return 200 $pid;
        }
    }

    server {
        listen       127.0.0.1:8083 ssl;
        server_name  localhost;

        ssl_certificate        server.pem;
        ssl_certificate_key    server.key;
        ssl_verify_client      optional;
        ssl_client_certificate ca.pem;

        tollgate_auth          client_cert;
        tollgate_client_cert   cn;

        location = /usage {
            tollgate_usage;
        }
    }
}

EOF

sub entry {
	my ($client, %more) = @_;
	return { id => "k_$client", hash => 'sha256:' . sha256_hex("key-$client"), client => $client, %more };
}

$t->write_file('keys.json', json({ version => 1, keys => [
	entry('acme', tier => 'pro'), entry('globex', tier => 'pro'), entry('tiny'),
	{ id => 'k_machine', cert => 'cn:machine', client => 'machine', tier => 'pro' },
] }));
certs_in($t->testdir());
new_ca('ca');
new_cert('ca', 'server', san => 'DNS:localhost');
new_cert('ca', 'machine', subject => '/CN=machine');
start_engine($t, 8081);
$t->run();

my $workers = connections_to_workers(2, 1);
my @pids = sort keys %$workers;

###############################################################################

# Both workers count, and both tell all of it.

my %answers;
for my $n (1 .. 60) {
	my $client = $n % 3 ? 'acme' : 'globex';
	my $pid = $pids[$n % 2];
	my $id = "t-$n";
	$answers{$client} = $workers->{$pid}[0]->ask(completion(client => $client, input => $n,
		max => 100, tokens => 5 + $n % 7, lines => ["X-Request-ID: $id"]));
}
my @lines = audit_lines($t, 'audit.log', 60);
for my $client (qw/acme globex/) {
	my @seen = map { usage_at($_, $client) } @pids;
	is_deeply(stable($seen[0]), stable($seen[1]), "$client: both workers tell the same");
	my @own = grep { $_->{client} eq $client } @lines;
	my $usage = $seen[0];
	is($usage->{requests}, scalar @own, "$client: requests, as in the log");
	is($usage->{input_tokens}, sum(map { $_->{input_tokens} } @own), "$client: input, as in the log");
	is($usage->{output_tokens}, sum(map { $_->{output_tokens} } @own), "$client: output, as in the log");
	my $nanos = sum(map { int($_->{cost} * 1e9 + 0.5) } @own);
	is(int($usage->{cost} * 1e9 + 0.5), $nanos, "$client: money, as in the log");
	is(limit($usage, 'tokens 30/d burst=10k')->{used}, $usage->{input_tokens} + $usage->{output_tokens},
		"$client: what is used of its tokens");
	is(limit($usage, 'requests 30r/d burst=1000')->{left},
		header($answers{$client}, 'x-ratelimit-remaining-requests'), "$client: as the headers have it");
}

# Refusals, and what the headers of a refusal say.

$workers->{$pids[$_ % 2]}[0]->ask(request('/v1/models', 'X-API-Key: key-tiny')) for 1 .. 5;
my $refused = get('/v1/models', 'X-API-Key: key-tiny');
is(status($refused), 429, 'a limit is spent');
my $tiny = usage_at($pids[0], 'tiny');
is($tiny->{limits}[0]{left}, header($refused, 'x-ratelimit-remaining-requests'), 'and nothing is left');
# A worker counts a request when its answer has gone out.
my $counted = sub { my $seen = usage_at($pids[0], 'tiny'); return "$seen->{requests} $seen->{refused}" };
poll { $counted->() eq '6 1' };
is($counted->(), '6 1', 'requests and refusals of both workers');

###############################################################################

# A certificate.

my $machine = content_json(with_cert('machine', 'https://localhost:' . port(8083) . '/usage'));
is("$machine->{client} $machine->{tier} $machine->{credential}{auth} $machine->{credential}{key_id}",
	'machine pro client_cert k_machine', 'a certificate is a credential');
like(with_cert(undef, 'https://localhost:' . port(8083) . '/usage'), qr/^HTTP\S+ 401/, 'none is none');

###############################################################################

# A worker dies with a request in flight.

my ($held) = hold(on => $workers->{$pids[0]}[0], client => 'acme', max => 10);
is(usage_at($pids[1], 'acme')->{in_flight}, 1, 'the other worker sees what is in flight');
kill 'KILL', $pids[0];
ok(poll { usage_at($pids[1], 'acme')->{in_flight} == 0 }, 'a dead worker has nothing in flight');
poll { my @now = workers($t); @now == 2 && !grep { $_ == $pids[0] } @now };
$workers = connections_to_workers(2, 1);
my @now = map { usage_at($_, 'globex')->{requests} } sort keys %$workers;
is("@now", '20 20', 'what it had counted stays, and a new worker tells it');

my ($new) = grep { $_ != $pids[1] } keys %$workers;
($held) = hold(on => $workers->{$new}[0], client => 'acme', max => 10);
is(usage_at($pids[1], 'acme')->{in_flight}, 1, 'and counts what is in flight');
$held->close();

###############################################################################

sub usage_at {
	my ($pid, $client) = @_;
	return content_json($workers->{$pid}[0]->ask(request('/usage', "X-API-Key: key-$client")));
}

# Without what is another thing a moment later.
sub stable {
	my ($usage) = @_;
	my %stable = %$usage;
	delete $stable{now};
	$stable{limits} = [ map { my %limit = %$_; delete $limit{reset_seconds}; \%limit } @{$usage->{limits}} ];
	return \%stable;
}

sub limit {
	my ($usage, $name) = @_;
	my ($limit) = grep { $_->{name} eq $name } @{$usage->{limits}};
	return $limit;
}
