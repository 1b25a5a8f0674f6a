#!/usr/bin/perl

# A real OpenTelemetry Collector with monitoring/otel-collector.yaml reads the log of a real nginx. Each request
# becomes one log record, over a rotation as well, and each field has its place: the one that
# docs/audit-log.md names, or one under "tollgate.".
#
# TOLLGATE_COLLECTOR names the collector (scripts/check-collector brings one); else nothing is tested.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ json keys_file status /;
use Tollgate::Client;
use Tollgate::Engine;

use JSON::PP qw//;
use IO::Socket::INET;
use POSIX qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

plan(skip_all => 'TOLLGATE_COLLECTOR is not set') unless -x ($ENV{TOLLGATE_COLLECTOR} // '');
needs_engine();

my $root = "$FindBin::Bin/..";
my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(26);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone          zone=tollgate:1m;
    tollgate_tier          pro { requests 1000r/d; models mock; }
    tollgate_price         mock input=1 output=2;
    tollgate_api_keys      keys.json;
    tollgate_audit_log     %%TESTDIR%%/audit.log;
    tollgate_audit_fields  metadata;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        location / {
            proxy_pass http://127.0.0.1:8081;
        }
    }
}

EOC

$t->write_file('keys.json', keys_file(
	{ key => 'key-acme', client => 'acme', tenant => 'corp', tier => 'pro', metadata => { team => 'x', seats => 3 } }));
$t->write_file('test.yaml', <<'EOC');
exporters:
  otlphttp:
    encoding: json
    compression: none
service:
  telemetry:
    metrics:
      level: none
EOC
# Where the collector can read it, too.
$t->write_file('otel-collector.yaml', slurp("$root/monitoring/otel-collector.yaml"));
start_engine($t, 8081);
$t->run();

###############################################################################

my $traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
my @trace = (lines => ["traceparent: $traceparent"]);
is(status(complete(client => 'acme', input => 5, tokens => 7, max => 20, @trace)), 200, 'a request');
is(status(complete(client => 'acme', input => 5, tokens => 7, max => 20, stream => 1)), 200, 'a stream');
is(status(complete(client => 'acme', model => 'other')), 403, 'a refusal');
is(status(complete(client => 'nobody')), 401, 'a wrong key');
is(status(http("BREW / HTTP/1.0\r\nX-API-Key: key-acme\r\n\r\n")), 403, 'a method that nobody knows');

my $log = $t->testdir() . '/audit.log';
my @lines = audit_lines($t, 'audit.log', 5);
is(@lines, 5, 'a line for each');

# What a log may have besides: all fields, as the documentation has them; a seal, and what is no line of ours.
my %kinds = documented_kinds();
my %all = map { $_ => $kinds{$_} eq 'number' ? 7 : $kinds{$_} eq 'object' ? { a => 1 }
	: $kinds{$_} =~ /true/ ? JSON::PP::true : "text of $_" } keys %kinds;
@all{qw/time request_id traceparent status method bytes_in/} =
	('2026-01-05T09:30:12.635Z', 'all', $traceparent, 502, 'PUT', 9007199254740993);
$all{cost} = 0.25;
append($log, JSON::PP->new->canonical->encode(\%all));
append($log, '{"seal":{"first":1,"last":6},"time":"2026-01-05T09:30:12.700Z"}');
append($log, 'not json');
append($log, '{"no":"time"}');
push @lines, \%all;

# Those that come while it is rotated.
my $output = start_receiver($t, $log);
my $records = poll_records($t, 6);
is(@$records, 6, 'a record for each request that was there before');
is(status(complete(client => 'acme')), 200, 'one more');
poll { ($t->read_file('audit.log') =~ tr/\n//) == 10 };
rename $log, "$log.1" or die "Can't rename $log: $!\n";
is(status(complete(client => 'acme')), 200, 'one more, into the file that was renamed');
poll { ($t->read_file('audit.log.1') =~ tr/\n//) == 11 };
kill 'USR1', $t->read_file('nginx.pid') =~ /(\d+)/ or die "Can't signal nginx: $!\n";
poll { -e $log };
is(status(complete(client => 'acme')), 200, 'one more, into the new one');
my @later = grep { ref $_ && ($_->{client} // '') eq 'acme' }
	(audit_lines($t, 'audit.log.1', 11))[9 .. 10], audit_lines($t, 'audit.log', 1);
is(@later, 3, 'three more lines');
$records = poll_records($t, 9);
# Whatever it would send twice.
sleep 2;
$records = poll_records($t, 9);
is(@$records, 9, 'and three more records, none of them twice');

###############################################################################

my %mapped = documented_attributes();
cmp_ok(scalar keys %mapped, '>', 15, 'the attributes are documented');

my (@wrong, @unnamed, %has_been);
for my $line (@lines, @later) {
	my ($record) = grep { attribute($_, 'tollgate.request_id') eq $line->{request_id} } @$records;
	push @wrong, "$line->{request_id}: missing" and next unless $record;
	my %given = map { $_->{key} => value($_->{value}) } @{$record->{attributes}};
	push @unnamed, grep { !/^(gen_ai|http|url|client|user|error|tollgate)\./ } keys %given;
	for my $field (keys %$line) {
		next if $field =~ /^(time|traceparent)$/;
		my $name = $mapped{$field} // "tollgate.$field";
		my $expected = $field =~ /^(duration|ttft)_ms$/ ? $line->{$field} / 1000 : $line->{$field};
		$expected = '_OTHER' if $field eq 'method' and $expected eq 'BREW';
		$has_been{$field}++;
		push @wrong, "$line->{request_id}: $field"
			unless exists $given{$name} and canonical($given{$name}) eq canonical($expected);
		delete $given{$name};
	}
	delete @given{qw/gen_ai.operation.name http.request.method_original/};
	push @wrong, map { "$line->{request_id}: $_ from nowhere" } keys %given;
}
is("@wrong", '', 'each field of each line has its place');
is("@unnamed", '', 'no attribute has a name of its own');
is(join(' ', grep { !$has_been{$_} } sort keys %kinds), 'time traceparent', 'each documented field was there');

my ($whole) = grep { attribute($_, 'tollgate.request_id') eq 'all' } @$records;
is($whole->{timeUnixNano}, '1767605412635000000', 'the time');
is("$whole->{traceId} $whole->{spanId} $whole->{flags}", '0af7651916cd43dd8448eb211c80319c b7ad6b7169203331 1',
	'the span of the caller');
is($whole->{severityText}, 'error', 'a status of 502 is an error');
my ($tokens) = grep { $_->{key} eq 'gen_ai.usage.input_tokens' } @{$whole->{attributes}};
is($tokens->{value}{intValue}, 7, 'tokens are integers');
is(attribute($whole, 'http.request.size'), '9007199254740993', 'numbers are whole to the last digit');

my ($stream) = grep { attribute($_, 'gen_ai.request.stream') eq '1' } @$records;
is(attribute($stream, 'gen_ai.operation.name'), 'text_completion', 'what the request wants');
is($stream->{body}{stringValue}, 'POST /v1/completions 200', 'the body is a few words');
my ($refused) = grep { attribute($_, 'error.type') eq 'invalid_credential' } @$records;
is("$refused->{severityText} " . attribute($refused, 'http.response.status_code'), 'warn 401', 'a refusal');
my ($brew) = grep { attribute($_, 'http.request.method') eq '_OTHER' } @$records;
is(attribute($brew, 'http.request.method_original'), 'BREW', 'an odd method');

# Without what was no line: that one is told of.
my @faults = grep { /\terror\t/ } split /\n/, $t->read_file('collector.log');
is(scalar(grep { !/invalid character|failed to emit token/ } @faults), 0, 'no operator failed')
	or diag(join "\n", @faults);

###############################################################################

sub append {
	my ($log, $line) = @_;
	open my $file, '>>', $log or die "Can't open $log: $!\n";
	print $file "$line\n";
	close $file or die "Can't write $log: $!\n";
}

# The fields of the log, and the type of each, by its documentation. A sealed log has one more.
sub documented_kinds {
	my ($table) = slurp("$root/docs/audit-log.md") =~ /^## Fields\n(.*?)^## /ms;
	return (seq => 'text', $table =~ /^\| `(\w+)` \| ([^|]+?) \|/mg);
}

# The attribute of each field that has one in the conventions, by the documentation.
sub documented_attributes {
	my ($table) = slurp("$root/docs/audit-log.md") =~ /^## OpenTelemetry\n(.*?)^## /ms;
	my %attributes = $table =~ /^\| `(\w+)` \| `([\w.]+)`/mg;
	delete @attributes{qw/time traceparent/};
	return %attributes;
}

sub slurp {
	my ($path) = @_;
	open my $file, '<', $path or die "Can't open $path: $!\n";
	local $/;
	return scalar <$file>;
}

# Runs what the collector sends to, and the collector itself, which gets no rights. Returns where its records are.
sub start_receiver {
	my ($t, $log) = @_;
	my $listen = '127.0.0.1:' . port(8090);
	my $records = $t->testdir() . '/records';
	$t->run_daemon(sub { receive($listen, $records) });
	$t->waitforsocket($listen) or die "The receiver does not start\n";
	$t->run_daemon(sub {
		open STDERR, '>', $t->testdir() . '/collector.log' or die "Can't open the log: $!\n";
		open STDOUT, '>&', \*STDERR or die "Can't open the log: $!\n";
		if ($> == 0) {
			$) = '65534 65534';
			POSIX::setgid(65534);
			POSIX::setuid(65534);
		}
		%ENV = (OTLP_ENDPOINT => "http://$listen", TOLLGATE_AUDIT_LOG => $log, TOLLGATE_START_AT => 'beginning',
			COLLECTOR => $ENV{TOLLGATE_COLLECTOR});
		chdir '/';
		exec $ENV{COLLECTOR}, map({ ('--config', $t->testdir() . "/$_") } qw/otel-collector.yaml test.yaml/)
			or die "Can't run the collector: $!\n";
	});
	return $records;
}

# A server for OTLP over HTTP, as JSON.
sub receive {
	my ($listen, $path) = @_;
	my $server = IO::Socket::INET->new(LocalAddr => $listen, Proto => 'tcp', Listen => 5, ReuseAddr => 1)
		or die "Can't listen: $!\n";
	while (my $client = $server->accept()) {
		while (defined(my $line = <$client>)) {
			my $length = 0;
			while (defined($line = <$client>) and $line =~ /\S/) {
				$length = $1 if $line =~ /^content-length:\s*(\d+)/i;
			}
			last unless $length;
			read $client, my $body, $length or last;
			open my $file, '>>', $path or die "Can't open $path: $!\n";
			print $file "$body\n";
			close $file;
			print $client "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
		}
	}
}

# All records that came, once there are so many.
sub poll_records {
	my ($t, $count) = @_;
	my @records;
	poll {
		my $text = eval { $t->read_file('records') } // '';
		@records = map { @{$_->{logRecords}} } map { @{$_->{scopeLogs}} }
			map { @{JSON::PP->new->utf8->decode($_)->{resourceLogs}} } split /\n/, $text;
		@records >= $count;
	};
	return \@records;
}

sub attribute {
	my ($record, $name) = @_;
	my ($found) = grep { $_->{key} eq $name } @{$record->{attributes}};
	return $found ? value($found->{value}) : '';
}

# A value as OTLP has it.
sub value {
	my ($value) = @_;
	my ($kind, $inner) = %$value;
	return { map { $_->{key} => value($_->{value}) } @{$inner->{values}} } if $kind eq 'kvlistValue';
	return $inner;
}

sub canonical {
	my ($value) = @_;
	return ref $value eq 'HASH' ? join(',', map { "$_=$value->{$_}" } sort keys %$value) : "$value";
}

###############################################################################
