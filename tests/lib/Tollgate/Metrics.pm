package Tollgate::Metrics;

# What the page of tollgate_metrics says: by name and labels.
#
#	my $m = metrics('/metrics');
#	$m->{text}                                   # the page, without its header
#	sum($m, 'tollgate_requests_total', decision => 'allow')   # of all series with these labels
#	series($m, 'tollgate_requests_total')        # all of them: [ { labels }, value ]

use strict;
use warnings;

use Exporter qw/import/;
use Test::Nginx qw/http_content/;
use Tollgate qw/get/;

our @EXPORT = qw/metrics sum series/;

# The page at this path.
sub metrics {
	my ($uri, @lines) = @_;
	return parse(http_content(get($uri // '/metrics', @lines)));
}

# A text in either format.
sub parse {
	my ($text) = @_;
	my %series;
	for my $line (grep { !/^#/ } split /\n/, $text // '') {
		my ($name, $labels, $value) = $line =~ /^([a-z_]+)(?:\{(.*)\})? ([0-9.]+)$/
			or die "no sample: $line\n";
		my %labels;
		while (($labels // '') =~ /\G([a-z_]+)="((?:[^"\\]|\\.)*)",?/g) {
			my ($label, $text) = ($1, $2);
			$text =~ s/\\(.)/$1 eq 'n' ? "\n" : $1/ge;
			$labels{$label} = $text;
		}
		push @{$series{$name}}, [\%labels, $value];
	}
	return { text => $text, series => \%series };
}

sub series {
	my ($metrics, $name, %wanted) = @_;
	return grep {
		my $labels = $_->[0];
		!grep { ($labels->{$_} // '') ne $wanted{$_} } keys %wanted;
	} @{$metrics->{series}{$name} // []};
}

sub sum {
	my $sum = 0;
	$sum += $_->[1] for series(@_);
	return $sum;
}

1;
